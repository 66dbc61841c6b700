"""Help that belongs to no single command: environment, formatting, exit codes."""

from __future__ import annotations

from typing import Final

from commons_cli.calls import Verbs
from commons_cli.texts import _
from commons_node.api.types import EXIT_MEANING

TOPICS: Final = ("environment", "exit-codes", "formatting")

ENVIRONMENT: Final = {
    "COMMONS_HOME": "the node's folder; --home wins",
    "COMMONS_COMMUNITY": "which community, by id or name; --community wins",
    "COMMONS_AS": "who acts, by id or name; --as wins",
    "COLUMNS": "how wide tables are",
    "LANG": "the language of texts",
    "NO_COLOR": "honoured: there is no colour at all",
}
"""Variables that the command line reads itself."""

_FORMATTING = """\
Without --json a command prints a sentence or a table, as wide as the terminal;
messages and questions go to stderr.

With --json it prints exactly one object on stdout, {{"v":1,"ok":true,...}}. If it
fails, the last line on stderr is {{"v":1,"ok":false,"error":{{"code","message",
"hint"}}}} and stdout is empty. "events" prints one object a line. Ids are 64
hexadecimal digits; 8 or more that are unique will do. Times are RFC 3339 in UTC
in JSON, and local time in tables. --json may stand before or after the command.
"""


def topic(name: str, verbs: Verbs) -> str:
    """One page of help as text."""
    match name:
        case "environment":
            lines = [f"{variable:<28}{_(text)}" for variable, text in ENVIRONMENT.items()]
            settings = verbs.get("settings", [])
            if settings:
                lines += ["", _("Settings of the node, each also a key of config.toml:"), ""]
            for one in settings:
                lines += [one["environment"], f"    {_(one['help'])}"]
                lines.append(f"    {_('default')}: {_default(one['default'])}")
            return "\n".join(lines)
        case "exit-codes":
            return "\n".join(
                f"{int(code):>4}  {_(meaning)}" for code, meaning in EXIT_MEANING.items()
            )
        case _:
            return _(_FORMATTING).format().rstrip()


def _default(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
