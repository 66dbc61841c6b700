"""A community as one file: written by a node, checked by anybody without a node."""
