"""The registry as an OpenAPI 3.1 document: for people who write other clients, and for tests.

Made from the same structs that requests are checked with, so it cannot say anything else.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from commons_node.api.types import (
    API_VERSION,
    COMMUNITY_HEADER,
    HTTP_STATUS,
    LANGUAGE_HEADER,
    MEMBER_HEADER,
    SESSION_HEADER,
    TIMEOUT_HEADER,
)
from commons_node.registry import Command, Registry, Verb, View

_REF: Final = "#/components/schemas/{name}"

_TRUST: Final[dict[str, Any]] = {
    "as_of": {"description": "up to what the value was computed"},
    "missing": {"type": "array", "description": "what is known to exist and is not here"},
    "conflicts": {"type": "array", "description": "what is contested"},
}
_HEADERS: Final = {
    SESSION_HEADER: "the token of the terminal session, or a limited one",
    COMMUNITY_HEADER: "a community by id, prefix or name, percent-encoded",
    MEMBER_HEADER: "the member who acts, by id, prefix or name, percent-encoded",
    LANGUAGE_HEADER: "the language of sentences, reasons and errors; codes and keys never change",
    TIMEOUT_HEADER: "how long the caller waits, in seconds",
}


def openapi(registry: Registry) -> dict[str, Any]:
    """The document as JSON-able values (OpenAPI Specification 3.1.0)."""
    verbs = registry.verbs()
    structs = list(dict.fromkeys(verb.args for verb in verbs))
    references, schemas = msgspec.json.schema_components(structs, ref_template=_REF)
    by_struct = dict(zip(structs, references, strict=True))
    paths: dict[str, Any] = {}
    for verb in verbs:
        reference = by_struct[verb.args]
        if isinstance(verb, Command):
            paths[f"/v1/commands/{verb.name}"] = {"post": _command(verb, reference)}
        else:
            schema = schemas[reference["$ref"].rpartition("/")[2]]
            paths[f"/v1/views/{verb.name}"] = {"get": _view(verb, schema)}
    paths["/v1/events"] = {"get": _page("events", "What happens from now on.", "text/event-stream")}
    paths["/v1/verbs"] = {"get": _page("verbs", "All verbs and their arguments.")}
    paths["/v1/metrics"] = {"get": _page("metrics", "Figures, for Prometheus.", "text/plain")}
    paths["/v1/health"] = {"get": _page("health", "Whether the node does its work.")}
    paths["/v1/openapi.json"] = {"get": _page("openapi", "This document.")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "commons-node",
            "version": str(API_VERSION),
            "description": "The API of one node, on its Unix socket.",
        },
        "servers": [{"url": "http://localhost", "description": "HOME/run/api.sock"}],
        "tags": [{"name": noun, "description": text} for noun, text in registry.nouns.items()],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _error_schema(), "Answer": _answer_schema()},
            "parameters": {name: _header(name, text) for name, text in _HEADERS.items()},
            "responses": {"Error": _response("It did not work.", _ref("Error"))},
        },
    }


def _command(verb: Command, reference: dict[str, Any]) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": reference}}}
    return {
        **_operation(verb),
        "parameters": _header_references(),
        "requestBody": body,
        "responses": _responses(_ref("Answer")),
    }


def _view(verb: View, schema: dict[str, Any]) -> dict[str, Any]:
    required = schema.get("required", ())
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": described.get("description", ""),
            "schema": {key: one for key, one in described.items() if key != "description"},
        }
        for name, described in schema.get("properties", {}).items()
    ]
    answer = {"allOf": [_ref("Answer"), {"type": "object", "properties": _TRUST}]}
    return {
        **_operation(verb),
        "parameters": [*parameters, *_header_references()],
        "responses": _responses(answer),
    }


def _operation(verb: Verb) -> dict[str, Any]:
    return {
        "operationId": verb.name,
        "summary": verb.summary,
        "tags": [verb.name.partition(".")[0]],
        "x-needs": verb.need,  # what a limited token must allow (`scopes`)
    }


def _page(name: str, summary: str, media: str = "application/json") -> dict[str, Any]:
    content = {media: {"schema": {"type": "object" if media.endswith("json") else "string"}}}
    return {
        "operationId": f"api.{name}",
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}},
    }


def _responses(answer: dict[str, Any]) -> dict[str, Any]:
    refused = {"$ref": "#/components/responses/Error"}
    statuses = sorted({str(status) for status in HTTP_STATUS.values()})
    return {"200": _response("It worked.", answer)} | dict.fromkeys(statuses, refused)


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF.format(name=name)}


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


def _header_references() -> list[dict[str, Any]]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in _HEADERS]


def _answer_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "What a verb answers; its own fields stand beside these.",
        "properties": {"v": {"const": API_VERSION}, "ok": {"const": True}},
        "required": ["v", "ok"],
    }


def _error_schema() -> dict[str, Any]:
    text = {"type": "string"}
    error = {
        "type": "object",
        "properties": {"code": text, "message": text, "hint": text},
        "required": ["code", "message", "hint"],
    }
    return {
        "type": "object",
        "properties": {"v": {"const": API_VERSION}, "ok": {"const": False}, "error": error},
        "required": ["v", "ok", "error"],
    }
