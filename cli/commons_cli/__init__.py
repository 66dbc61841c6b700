"""The command line: a client of the daemon's API that starts in the time of `import click`.

Data goes to stdout, everything else to stderr. It holds no rules of its own: what a command may do
is decided by the daemon, and an error says which command to run next.
"""
