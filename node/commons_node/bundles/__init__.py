"""Bundles: what a node holds of a community on a stick, and taking it in somewhere else."""
