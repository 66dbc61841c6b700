"""Seals as a node's part in them: when one is due, what it lists, whether it checks, who signs."""
