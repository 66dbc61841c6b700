"""Where agents run: WebAssembly inside a process that has locked itself.

``worker`` is the process; ``guest`` runs one agent in it; ``lock`` is what holds when WebAssembly
does not. ``preparing`` makes the compiled runner, once a node. docs/THREATS.md says what it is for.
"""
