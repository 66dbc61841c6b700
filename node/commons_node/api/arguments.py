"""From the bytes of a request to a verb's typed arguments, with errors that name the argument.

Refuses what it does not know: an unknown name, a wrong type, a body that is not JSON in UTF-8 or
is nested without end. Decides nothing about what the values mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.texts import Spoken, _, either
from commons_node.registry import Verb


class BadJson(CommonsError):
    """The request is not a JSON object in UTF-8: {why}."""

    code: ClassVar[str] = "bad_json"
    hint: ClassVar[str] = "send an object such as {{}}"
    status = "usage"


class UnknownField(CommonsError):
    """{verb} takes no argument {name}."""

    code: ClassVar[str] = "unknown_field"
    hint: ClassVar[str] = "{fix}"
    status = "usage"


class MissingArgument(CommonsError):
    """{verb} needs {name}: {text}."""

    code: ClassVar[str] = "missing_argument"
    hint: ClassVar[str] = "commons-node {words} --help"
    status = "usage"


class BadArgument(CommonsError):
    """{name} is wrong: {why}."""

    code: ClassVar[str] = "bad_argument"
    hint: ClassVar[str] = "commons-node {words} --help"
    status = "usage"


Arguments = Sequence[Mapping[str, object]]
"""A verb's arguments as ``registry.describe_arguments`` gives them."""

_TYPES: Final = Spoken({
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
    "bytes": "base64",
    "datetime": "a time (RFC 3339)",
})  # fmt: skip
_QUOTED: Final = re.compile(r"`([^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`$")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


def from_body(verb: Verb, described: Arguments, body: bytes) -> msgspec.Struct:
    """Arguments from a JSON object; an empty body is an empty object.

    Raises BadJson, UnknownField, MissingArgument, BadArgument.
    """
    body = body or b"{}"
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadJson(why=_json_fault(error)) from None
    _refuse_unknown(verb, described, given)
    try:
        return msgspec.json.decode(body, type=verb.args)
    except msgspec.ValidationError as error:
        raise _readable(verb, described, error) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadJson(why=_json_fault(error)) from None


def from_query(
    verb: Verb, described: Arguments, pairs: Iterable[tuple[str, str]]
) -> msgspec.Struct:
    """Arguments from a query string, where a repeated name makes a list.

    Raises UnknownField, MissingArgument, BadArgument.
    """
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    _refuse_unknown(verb, described, given)
    typed: dict[str, Any] = {}
    for one in described:
        name = str(one["name"])
        if name in given:
            values = [_typed(str(one["kind"]), text) for text in given[name]]
            if one.get("repeat"):
                typed[name] = values
            elif len(values) > 1:
                raise BadArgument(name=name, why=_("it is given twice"), words=_words(verb))
            else:
                typed[name] = values[0]
    try:
        return msgspec.convert(typed, verb.args)
    except msgspec.ValidationError as error:
        raise _readable(verb, described, error) from None


def _typed(kind: str, text: str) -> object:
    """A query's text as JSON would have it; what does not fit stays text and is refused later."""
    if kind in {"integer", "duration"} and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "number":
        try:
            return float(text)
        except ValueError:
            return text
    if kind == "flag":
        return {"true": True, "false": False}.get(text, text)
    if kind == "choice" and _INTEGER.fullmatch(text):
        return int(text)
    return text


def _refuse_unknown(verb: Verb, described: Arguments, given: Iterable[str]) -> None:
    known = [str(one["name"]) for one in described]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            fix = (
                _("it takes {known}").format(known=", ".join(known))
                if known
                else _("it takes no arguments")
            )
            shown = ascii(name[:40])
            raise UnknownField(
                verb=verb.name,
                name=shown,
                fix=_("did you mean {near}?").format(near=near[0]) if near else fix,
            )


def _readable(verb: Verb, described: Arguments, error: msgspec.ValidationError) -> CommonsError:
    text, _at, path = str(error).partition(" - at ")
    by_name = {str(one["name"]): one for one in described}
    missing = _MISSING.match(text)
    if missing and not path:
        name = missing[1]
        about = _(str(by_name[name]["help"]))
        return MissingArgument(verb=verb.name, name=name, text=about, words=_words(verb))
    name = path.strip("`").removeprefix("$").removeprefix(".") or _("the request")
    choices = by_name.get(name.partition(".")[0], {}).get("choices")
    if isinstance(choices, list):
        why = _("choose {choices}").format(choices=either([str(choice) for choice in choices]))
    else:
        words = _QUOTED.sub(lambda found: _named(found[1]), text)
        why = words[:1].lower() + words[1:]
    return BadArgument(name=name, why=why, words=_words(verb))


def _named(types: str) -> str:
    return either([_TYPES.get(one.strip(), one.strip()) for one in types.split("|")])


def _json_fault(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return _("it is nested too deep")
    if isinstance(error, UnicodeDecodeError):
        return _("it is not UTF-8")
    return str(error).partition(" - at ")[0].replace("`", "").lower()


def _words(verb: Verb) -> str:
    return verb.name.replace(".", " ")
