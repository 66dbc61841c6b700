"""One list of verbs, and everything that would make it ambiguous refused at start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import pytest
from tests.cli.shed import REGISTRY, VERBS

from commons_node.api.openapi import openapi
from commons_node.registry import (
    Command,
    Complete,
    Reading,
    Registry,
    RegistryError,
    Request,
    View,
    argument,
    merge,
    option,
)


class Nothing(msgspec.Struct):
    pass


async def do_nothing(request: Request[object], args: Any) -> Mapping[str, object]:
    return {}


async def read_nothing(request: Request[object], args: Any) -> Reading:
    return Reading({})


def command(name: str, args: type[msgspec.Struct] = Nothing) -> Command:
    return Command(name, "Do it.", args, do_nothing)


def argument_of(verb: str, name: str) -> dict[str, Any]:
    described = next(one for one in VERBS["verbs"] if one["name"] == verb)
    found: dict[str, Any] = next(one for one in described["args"] if one["name"] == name)
    return found


def test_a_verb_is_declared_once() -> None:
    with pytest.raises(RegistryError, match="twice"):
        Registry((command("loan.ask"), command("loan.ask")))
    with pytest.raises(RegistryError, match="twice"):
        Registry((command("loan.ask"),), (View("loan.ask", "Ask.", Nothing, read_nothing),))
    with pytest.raises(RegistryError, match="twice"):
        merge([Registry((command("loan.ask"),)), Registry((command("loan.ask"),))])


@pytest.mark.parametrize("name", ["Loan", "loan.", ".ask", "loan ask", "a.b.c.d", "run", ""])
def test_a_name_that_no_command_line_has_is_refused(name: str) -> None:
    with pytest.raises(RegistryError):
        Registry((command(name),))


def test_a_word_is_a_noun_or_a_verb() -> None:
    with pytest.raises(RegistryError, match="nouns"):
        Registry((command("sync"), command("sync.wait")))


def test_every_argument_is_described() -> None:
    class Bare(msgspec.Struct):
        thing: str

    with pytest.raises(RegistryError, match="described"):
        Registry((command("loan.ask", Bare),))


def test_an_option_of_every_command_is_not_taken_again() -> None:
    class Takes(msgspec.Struct):
        json: Annotated[bool, option("as JSON")] = False

    with pytest.raises(RegistryError, match="every command"):
        Registry((command("loan.ask", Takes),))


def test_a_type_that_nobody_can_type_is_refused() -> None:
    class Deep(msgspec.Struct):
        thing: Annotated[dict[str, int], option("a map")]

    with pytest.raises(RegistryError, match="type"):
        Registry((command("loan.ask", Deep),))


def test_completion_names_a_view_that_exists() -> None:
    class Ask(msgspec.Struct):
        thing: Annotated[str, argument("the thing", complete=Complete("no.such", "x", "y"))]

    registry = Registry((command("loan.ask", Ask),))
    with pytest.raises(RegistryError, match="no view"):
        registry.describe()


def test_the_description_is_json_and_says_all_about_an_argument() -> None:
    assert json.loads(json.dumps(VERBS)) == VERBS, "the description survives JSON"
    assert argument_of("thing.lend", "thing") == {
        "name": "thing",
        "kind": "text",
        "help": "the thing, by name",
        "positional": True,
        "required": True,
        "complete": {"view": "thing.list", "rows": "things", "field": "name"},
    }
    assert argument_of("thing.lend", "days")["min"] == 1, "a count is 1 or more"
    assert argument_of("thing.lend", "until")["kind"] == "time"
    assert argument_of("thing.lend", "keep")["kind"] == "duration"
    assert argument_of("thing.lend", "keep")["default"] == 900
    assert argument_of("thing.lend", "tag")["repeat"] is True
    assert argument_of("thing.lend", "state")["choices"] == ["ok", "ticket"]
    assert argument_of("thing.lend", "quietly")["kind"] == "flag"
    assert argument_of("thing.lend", "offer")["kind"] == "file-or-text"
    assert argument_of("thing.import", "file")["kind"] == "file-in"
    assert argument_of("thing.export", "file")["result"] == "data"
    assert argument_of("found", "passphrase")["kind"] == "new-passphrase"
    assert argument_of("member.unlock", "for")["default"] == 900, "as JSON names it, not Python"


def references(value: object) -> list[str]:
    match value:
        case {"$ref": str(reference)}:
            return [reference]
        case dict():
            return [one for inner in value.values() for one in references(inner)]
        case list():
            return [one for inner in value for one in references(inner)]
    return []


def test_openapi_describes_every_verb_and_refers_to_nothing_missing() -> None:
    document = json.loads(json.dumps(openapi(REGISTRY)))
    assert document["openapi"].startswith("3.1."), "the version that has JSON Schema in it"
    assert {"title", "version"} <= document["info"].keys()
    paths = document["paths"]
    for verb in REGISTRY.commands:
        body = paths[f"/v1/commands/{verb.name}"]["post"]["requestBody"]
        assert "$ref" in body["content"]["application/json"]["schema"]
    for view in REGISTRY.views:
        assert "get" in paths[f"/v1/views/{view.name}"]
    operations = [one for methods in paths.values() for one in methods.values()]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names), "operation ids are unique"
    for operation in operations:
        assert operation["responses"]["200"]["description"], "each answer is described"
        for parameter in operation.get("parameters", []):
            assert "$ref" in parameter or {"name", "in", "schema"} <= parameter.keys()
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found, reference


def test_openapi_marks_what_a_view_needs() -> None:
    class One(msgspec.Struct):
        thing: Annotated[str, argument("the thing")]
        deep: Annotated[bool, option("all of it")] = False

    document = openapi(Registry((), (View("thing.show", "Show.", One, read_nothing),)))
    thing, deep = document["paths"]["/v1/views/thing.show"]["get"]["parameters"][:2]
    assert thing["required"] is True
    assert thing["description"] == "the thing"
    assert deep["required"] is False
    assert deep["schema"]["type"] == "boolean"
