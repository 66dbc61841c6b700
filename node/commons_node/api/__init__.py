"""The daemon's one door: HTTP and JSON on a Unix socket, and the client of it.

``types``, ``paths`` and ``client`` use the standard library only, because the command line imports
them at every start. This package's top level imports nothing for the same reason.
"""
