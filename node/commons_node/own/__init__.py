"""Realms that belong to one member alone, on this machine and on that member's others."""
