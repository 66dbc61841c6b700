"""The palette: every place and every verb of the node by name, each with its command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.command import DiscoveryHit, Hit, Hits, Provider

from commons_cli.texts import _
from commons_tui.place import place_key
from commons_tui.places import places

if TYPE_CHECKING:
    from commons_tui.app import CommonsApp

Line = tuple[str, str, Callable[[], Any]]


class Everything(Provider):
    """Places first, then verbs in the order of the command line."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for name, equal, run in self._lines():
            yield DiscoveryHit(name, run, help=equal)

    async def search(self, query: str) -> Hits:
        """Those whose name or command fits what was typed."""
        matcher = self.matcher(query)
        for name, equal, run in self._lines():
            score = max(matcher.match(name), matcher.match(equal))
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, help=equal)

    def _lines(self) -> Iterator[Line]:
        app: CommonsApp = self.app  # type: ignore[assignment]  # the only app there is
        for number, place in enumerate(places()):
            yield (
                _("Go to {place}").format(place=_(place.title)),
                place_key(number),
                partial(app.go, place.id),
            )
        yield _("Help"), app.key_of("app.help"), app.action_help
        yield _("Lock this terminal"), "commons-node member lock", app.action_lock
        for name, verb in sorted(app.deeds.verbs.items()):
            equal = f"commons-node {name.replace('.', ' ')}"
            yield _(verb["summary"]).rstrip("."), equal, partial(app.carry_out, name)
