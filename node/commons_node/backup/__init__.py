"""A node as sealed files in a folder: written while it runs, checked, and made a new node of."""
