"""Verifier workers: signatures and foreign Automerge changes, outside the daemon's process.

A crash here costs one batch's retry and never changes a verdict.
"""
