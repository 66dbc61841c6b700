"""What an agent may try, each with what must come of it: told to a pool of workers and to a node.

A package may hold many: ``told`` is a module in which a setting chooses one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MEMORY_MIB = 64
BIG = 50 << 20


@dataclass(frozen=True)
class Try:
    """``body`` of ``main``; what comes of it: a code, a part of the text, or a result.

    ``memory``: MiB that it may have. ``huge``: it passes so much to its node that its process takes
    more, for a moment.
    """

    body: str
    code: str = ""
    text: str = ""
    result: object = None
    memory: int = MEMORY_MIB
    huge: bool = False
    given: tuple[tuple[str, object], ...] = ()


def main(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def main(event, host):\n{lines}\n"


REACHES = {
    "a file": Try("open('/etc/passwd')", "fault", "FileNotFoundError"),
    "the node's key": Try("open('../node.key', 'rb')", "fault", "FileNotFoundError"),
    "a folder": Try("import os\nreturn os.listdir('/')", "fault", "Error"),
    "a file of its own": Try("open('mine', 'w').write('x')", "fault", "Error"),
    "its environment": Try("import os\nreturn dict(os.environ)", result={}),
    "its parent's": Try("open('/proc/1/environ').read()", "fault", "FileNotFoundError"),
    "a socket": Try("import socket", "fault", "ModuleNotFoundError"),
    "a socket below": Try("import _socket\n_socket.socket().connect(('127.0.0.1', 1))", "reach"),
    "the loop": Try("import asyncio", "fault", "ModuleNotFoundError"),
    "native code": Try("import ctypes", "fault", "ModuleNotFoundError"),
    "a program": Try("import subprocess", "fault", "ModuleNotFoundError"),
    "a system": Try("import os\nreturn os.system('id')", "fault", "AttributeError"),
    "a fork": Try("import os\nreturn os.fork()", "fault", "AttributeError"),
    "a kill": Try("import os\nreturn os.kill(1, 9)", "fault", "AttributeError"),
    "a thread": Try(
        "import threading\nthreading.Thread(target=print).start()", "fault", "can't start"
    ),
    "standard output": Try("import os\nos.write(1, b'x')", "reach", "agents do not have"),
    "the end of its process": Try("import os\nos._exit(0)", "reach", "agents do not have"),
    "the end of a program": Try("raise SystemExit(0)", "fault", "SystemExit"),
    "sleep": Try("import time\ntime.sleep(1e9)", "fault", "cannot sleep"),
    "a wait": Try("import threading\nthreading.Event().wait(1e9)\nreturn {}", result={}),
    "what was not granted": Try("host.call('docs.query')", "not_offered", "may not ask"),
}


BOMBS = {
    "10 GB": Try("return len(bytearray(10**10))", "fault", "OverflowError"),
    "2 GB": Try("return len(bytearray(2**31 - 1))", "memory", "MemoryError"),
    "no end": Try("while True: pass", "fuel", "used up", given=(("fuel", 10**8),)),
    "a pattern": Try(
        "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", "fuel", given=(("fuel", 10**8),)
    ),
    "itself": Try("def f(): f()\nf()", "fault", "RecursionError"),
    "a deep pattern": Try("import re\nre.compile('(' * 10**5 + ')' * 10**5)", "fault"),
    "an argument that fits no frame": Try(
        "host.call('echo', text='x' * (1 << 20))", "too_large", "at most"
    ),
    "a deep result": Try(
        "found = []\nfor _ in range(10**5): found = [found]\nreturn found", "recursion"
    ),
    "a deep argument": Try(
        "from wit_world.imports import host as below\n"
        "try: below.call('echo', '[' * 10**5)\n"
        "except Exception as error: return error.value[:20]",
        result='{"code":"bad_params"',
    ),
    "JSON of a hundred levels": Try(
        "found = []\nfor _ in range(100): found = [found]\nreturn len(repr(found))", result=202
    ),
    "deep JSON to read": Try("import json\njson.loads('[' * 10**6)", "recursion"),
    "no number": Try("return float('nan')", "output", "no JSON"),
    "no value": Try("return object()", "output", "no form in JSON"),
    "a name": Try("host.call('m' * 100)", "too_large"),
    "a silent error": Try(
        "class E(Exception):\n    def __str__(self): raise MemoryError\nraise E", "fault", "E"
    ),
    "garbage": Try(
        "import commons_agent\nfrom componentize_py_types import Err\nraise Err('{]')", "fault"
    ),
}  # fmt: skip


LARGE = {
    "a list without end": Try("found = []\nwhile True: found.append(' ' * 1000)", "memory"),
    "a large result": Try(f"return 'x' * {BIG}", "output", "longer than", memory=256),
    "a large argument": Try(
        "host.call('echo', text='x' * (60 << 20))", "too_large", "at most", memory=256, huge=True
    ),
    "itself without a limit": Try(
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return [f(n + 1)]\nf(0)",
        "recursion", given=(("fuel", 2 * 10**9),),
    ),
}  # fmt: skip


PATCHES = (
    "import builtins, json, random, sys, commons_agent\n"
    "json.dumps = json.loads = lambda *a, **k: '{}'\n"
    "commons_agent.dump = lambda value: '666'\n"
    "builtins.print = len\n"
    "sys.modules['math'] = None\n"
    "sys.meta_path.clear()\n"
    "return 1"
)
"""Changes Python for whoever comes after it."""


def told(attacks: Mapping[str, Try], before: str = "") -> str:
    """A module whose setting ``attack`` chooses; ``before``: what it does first, each time."""
    names = "".join(f"    {name!r}: attack_{n},\n" for n, name in enumerate(attacks))
    bodies = "\n\n".join(
        main(one.body).replace("def main(", f"def attack_{n}(", 1)
        for n, one in enumerate(attacks.values())
    )
    chooses = main(f"{before}\nreturn ATTACKS[event['settings']['attack']](event, host)")
    return f"{bodies}\n\nATTACKS = {{\n{names}}}\n\n\n{chooses}"
