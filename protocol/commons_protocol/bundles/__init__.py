"""A bundle: operations on a stick, sealed to a community's devices. Formats only, no I/O.

Source: docs/protocol/bundles.md.
"""
