"""What can be said of an agent without running it: for its author, before it is packed.

Reads the author's own code, and runs none of it. A finding is a ``fault`` (it cannot work) or a
``hint`` (it is likely not what was meant).
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal

import msgspec

from commons_crdt.texts import _
from commons_node.agents.manifest import Grant, Manifest
from commons_node.agents.wording import MEANS
from commons_node.capabilities import collections
from commons_node.capabilities.capability import Capability
from commons_node.capabilities.catalogue import CAPABILITIES
from commons_node.capabilities.rehearsing import Rehearsed
from commons_node.jobs.job import On

Weight = Literal["fault", "hint"]
FREE: Final = frozenset({"log", "now", "random"})
"""What needs no grant: nothing of the community, of the host or of the outside is in it."""
_SHORT: Final = {"log": "log", "now": "now", "random": "random", "query": "docs.query"}
"""Methods of ``host`` by which the runner offers a capability; all others are ``host.a.b``."""


class Finding(msgspec.Struct, frozen=True):
    """``file``, the ``line`` (0: all of it), and what is to be said of it."""

    weight: Weight
    file: str
    line: int
    text: str


def findings(
    manifest: Manifest, code: Mapping[str, bytes], events: Collection[str]
) -> list[Finding]:
    """Everything that is to be said, faults first; ``events``: those that the node tells."""
    found = [*_of_manifest(manifest, events)]
    if manifest.runtime == "python":
        found += _of_code(manifest, code)
    elif not code[manifest.entry].startswith(b"\0asm"):
        found.append(Finding("fault", manifest.entry, 0, _("It is no WebAssembly component.")))
    return sorted(found, key=lambda one: (one.weight != "fault", one.file, one.line))


def of_rehearsal(manifest: Manifest, one: Rehearsed) -> Iterator[Finding]:
    """What running it has shown: that it failed, and what it was refused."""
    entry = manifest.entry.partition(":")[0]
    if one.code:
        text = _("It failed in the sandbox ({code}): {error}")
        yield Finding("fault", entry, 0, text.format(code=one.code, error=one.error))
    for refused in one.refused:
        text = _("{method} was refused ({code}): {text}")
        yield Finding("hint", entry, 0, text.format_map(refused))


def _of_manifest(manifest: Manifest, events: Collection[str]) -> Iterator[Finding]:
    for method, grant in manifest.capabilities.items():
        known = CAPABILITIES.get(method)
        if known is None or method not in MEANS:
            text = _("This version does not know the capability {method}.").format(method=method)
            yield Finding("fault", "agent.toml", 0, text)
            continue
        yield from _of_bounds(known, grant)
        yield from _of_collections(grant)
    for trigger in manifest.triggers:
        if isinstance(trigger, On) and trigger.event not in events:
            text = _("No event of this version is called {event}.").format(event=trigger.event)
            yield Finding("hint", "agent.toml", 0, text)
    if not manifest.triggers:
        text = _("It has no trigger: it runs only when somebody says so.")
        yield Finding("hint", "agent.toml", 0, text)


def _of_bounds(known: Capability, grant: Grant) -> Iterator[Finding]:
    """What must be said is said, and what is said means something."""
    said = {name for name in grant.__struct_fields__ if getattr(grant, name) is not None}
    for needed in known.needs:
        if needed not in said:
            text = _("{method} reaches nothing: agent.toml does not say {bound}.")
            told = text.format(method=known.name, bound=needed)
            yield Finding("fault", "agent.toml", 0, told)
    for name in sorted(said - {"rate"} - set(known.narrows)):
        text = _("{bound} means nothing to {method}.").format(bound=name, method=known.name)
        yield Finding("hint", "agent.toml", 0, text)


def _of_collections(grant: Grant) -> Iterator[Finding]:
    """Lists and fields that there are."""
    lists = {name: collections.find(name) for name in grant.collections or ()}
    for name in sorted(name for name, found in lists.items() if found is None):
        text = _("There is no collection {name}.").format(name=name)
        yield Finding("fault", "agent.toml", 0, text)
    fields = {field for found in lists.values() if found is not None for field in found.fields}
    for name in (*(grant.fields or ()), *(grant.where or {})):
        if fields and name not in fields:
            text = _("No collection that it asks for has the field {name}.").format(name=name)
            yield Finding("fault", "agent.toml", 0, text)


def _of_code(manifest: Manifest, code: Mapping[str, bytes]) -> Iterator[Finding]:
    used: dict[str, tuple[str, int]] = {}
    whole = True
    entry, _colon, function = manifest.entry.partition(":")
    for path, data in code.items():
        if not path.endswith(".py"):
            continue
        try:
            tree = ast.parse(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", 0) or 0
            text = _("It is no Python: {why}").format(why=getattr(error, "msg", error))
            yield Finding("fault", path, line, text)
            whole = False
            continue
        if path == entry:
            yield from _of_entry(path, tree, function)
        for method, line in _calls(tree):
            used.setdefault(method, (path, line))
    for method, (path, line) in used.items():
        if method not in manifest.capabilities and method not in FREE:
            text = _("It calls {method}, and agent.toml does not ask for it.")
            yield Finding("fault", path, line, text.format(method=method))
    for method in manifest.capabilities if whole else ():
        if method not in used and method not in FREE:
            text = _("It asks for {method}, and no call of it was found.").format(method=method)
            yield Finding("hint", "agent.toml", 0, text)


def _of_entry(path: str, tree: ast.Module, function: str) -> Iterator[Finding]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            given = len(node.args.posonlyargs) + len(node.args.args)
            if given != 2 and node.args.vararg is None:
                text = _("{name} does not take two arguments, event and host.")
                yield Finding("fault", path, node.lineno, text.format(name=function))
            return
        if isinstance(node, ast.AsyncFunctionDef) and node.name == function:
            text = _("{name} is async: the runner calls plain functions.").format(name=function)
            yield Finding("fault", path, node.lineno, text)
            return
    text = _("It has no function {name}.").format(name=function)
    yield Finding("fault", path, 0, text)


def _calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """What is called on ``host``: ``host.call("a.b")``, ``host.a.b()``, and the short ways."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, of = node.func.attr, node.func.value
        if isinstance(of, ast.Attribute) and _is_host(of.value):
            yield f"{of.attr}.{name}", node.lineno
        elif _is_host(of) and name in _SHORT:
            yield _SHORT[name], node.lineno
        elif _is_host(of) and name == "call" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, node.lineno


def _is_host(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "host"
