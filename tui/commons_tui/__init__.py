"""The terminal interface: a Textual app that reads and writes through the daemon's API.

It shows views and sends commands, the same ones as the command line; it keeps no state that the
daemon does not have. Nothing here waits for the node on the screen's own thread: every call goes
through ``bridge``. A place is added by adding a file to ``places``.
"""
