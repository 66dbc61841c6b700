"""``http.fetch``: the host asks a web server for the agent, if the host and the grant say so."""

from __future__ import annotations

import base64
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from commons_node.agents.manifest import Grant
from commons_node.capabilities.capability import Calling, Capability
from commons_node.capabilities.refusals import Absent, Fault, NotGranted, OnlyDry, TooMuch
from commons_node.web import Allowed, Forbidden, Larger, WebFault

_MOST: Final = 512 << 10
_HEADERS: Final = frozenset({"accept", "accept-language", "content-type", "if-none-match"})
"""What an agent may say of itself; no cookie, no authority of the host's."""
Header = Annotated[str, Meta(max_length=500, pattern=r"^[\x20-\x7e]*\Z")]


class Fetch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``headers``: accept, accept-language, content-type, if-none-match. ``body``: of a POST."""

    url: Annotated[str, Meta(max_length=2_000)]
    method: Literal["GET", "HEAD", "POST"] = "GET"
    headers: Annotated[dict[str, Header], Meta(max_length=8)] = {}
    body: Annotated[str, Meta(max_length=256 << 10)] = ""


async def fetch(calling: Calling, grant: Grant, params: Fetch) -> object:
    """One answer, of redirects the last one."""
    web = calling.inside.web
    if web is None:
        raise Absent(
            thing="http.fetch", why="agents may not ask the internet here",
            next="agents_http = true in config.toml",
        )  # fmt: skip
    allowed = [Allowed.of(one) for one in grant.hosts or ()]
    unknown = [name for name in params.headers if name.lower() not in _HEADERS]
    if unknown:
        raise NotGranted(method="http.fetch", why=f"the header {unknown[0]!r}")
    if calling.dry:
        raise OnlyDry(method="http.fetch")
    most = min(grant.max_bytes or _MOST, _MOST)
    try:
        answer = await web.fetch(
            params.url, allowed, method=params.method, headers=params.headers,
            body=params.body.encode(), most=most,
        )  # fmt: skip
    except Forbidden as error:
        raise NotGranted(method="http.fetch", why=error) from None
    except Larger as error:
        raise TooMuch(method="http.fetch", why=error) from None
    except WebFault as error:
        raise Fault(method="http.fetch", why=error) from None
    told: dict[str, object] = {"status": answer.status, "headers": answer.headers}
    try:
        told["body"] = answer.body.decode("utf-8")
    except UnicodeDecodeError:
        told["base64"] = base64.b64encode(answer.body).decode("ascii")
    return told


CAPABILITIES: Final = (
    Capability(
        "http.fetch", "Ask a web server, by way of the host.", Fetch,
        "`{status, headers, body}`, or `base64` in place of `body` where it is no UTF-8", fetch,
        ("hosts", "max_bytes"), 20, needs=("hosts",),
    ),
)  # fmt: skip
