"""Agents: small programs of others that a host lets work, with what was granted and no more."""
