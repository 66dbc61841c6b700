"""The app: where one is, who acts, what the node tells; the rest is in places and dialogs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Final

from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import ContentSwitcher, Static

from commons_cli.texts import _
from commons_tui import keymap
from commons_tui.bidi import safe
from commons_tui.bridge import AWAY, HERE, ApiError, Bridge, off_loop
from commons_tui.deeds import Deeds
from commons_tui.dialogs.dialog import Dialog, Say
from commons_tui.dialogs.explained import explained
from commons_tui.dialogs.unlock import Unlock
from commons_tui.frame import Line, Part, nav_parts
from commons_tui.idle import Idle
from commons_tui.palette import Everything
from commons_tui.place import PlaceView, bound, place_key
from commons_tui.places import places
from commons_tui.settings import Settings, save
from commons_tui.standing import Now, ask_now
from commons_tui.themes import THEMES
from commons_tui.welcome import Away, Welcome

POLL_S: Final = 15.0
"""How often it is asked how things are, beside the node's events."""
_ROOM: Final = 64
"""Columns from which the top line has the state of the network as well."""


class Told(Message):
    """Something that the node said by itself."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        """``event`` as the node sent it, or one of the bridge's own."""
        super().__init__()
        self.event = event


class CommonsApp(App[None]):
    """The terminal interface of one node."""

    TITLE = "commons-node"
    CSS_PATH = "style.tcss"
    COMMANDS = {Everything}  # noqa: RUF012 - textual's own way
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (76, "-wide")]  # noqa: RUF012 - likewise
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                place_key(n), f"go_number({n})", place.title, id=f"place.{place.id}", show=False
            )
            for n, place in enumerate(places())
        ),
        Binding("question_mark,f1", "help", "Help", id="app.help", show=False),
        Binding("colon", "command_palette", "All commands", id="app.palette", show=False),
        Binding("escape", "back", "Back", id="app.back", show=False),
        Binding("u", "unlock", "Unlock, or another member", id="app.unlock", show=False),
        Binding("ctrl+l", "lock", "Lock this terminal", id="app.lock", show=False, priority=True),
        Binding("ctrl+r", "read", "Read again", id="app.read", show=False),
        Binding("q", "quit", "Quit; the node goes on", id="app.quit", show=False),
        # Before the keys behind it, which come with it over a slow line, are given to a field.
        Binding("tab", "focus_next", show=False, priority=True),
        Binding("shift+tab", "focus_previous", show=False, priority=True),
    ]

    def __init__(
        self,
        bridge: Bridge,
        settings: Settings,
        *,
        acting: str | None = None,
        verbs: Mapping[str, Any] | None = None,
    ) -> None:
        """Calls nobody yet. ``acting``: who acts where several are unlocked, by id or name."""
        super().__init__()
        self.bridge = bridge
        self.settings = settings
        self.now = Now(acting=acting)
        self.deeds = Deeds(self, verbs)
        self.idle = Idle(settings.idle_s)
        self._here = 0
        self._came: list[int] = []
        self._busy: list[str] = []
        self._views: dict[str, PlaceView] = {}
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = settings.theme

    # -- the screen ------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The frame; a place is made when somebody goes there."""
        yield Line("title")
        yield Line("nav")
        yield Static(id="banner", markup=False)
        with ContentSwitcher(id="body"):
            yield Away(id="away")
            yield Welcome(id="welcome")
        yield Line("keys")

    def on_mount(self) -> None:
        """Ask how things are, and listen from now on."""
        known = keymap.known_ids()
        self.set_keymap(dict(self.settings.keys))
        for problem in (self.settings.problem, keymap.problem(self.settings.keys, known)):
            if problem:
                self.notify(problem.replace("[", "\\["), severity="warning", timeout=10)
        self.look_again()
        self.bridge.listen(lambda event: self.post_message(Told(event)))
        self.set_interval(POLL_S, self.look_again)
        self.set_interval(1.0, self._tick)

    def on_unmount(self) -> None:
        """Listen no more."""
        self.bridge.close()

    async def on_event(self, event: events.Event) -> None:
        """Every key and every move of the mouse says that somebody is there."""
        if isinstance(event, events.Key | events.MouseEvent | events.Paste):
            self.idle.touch()
        await super().on_event(event)

    def on_resize(self) -> None:
        """The lines of the frame are made for a width."""
        self.call_after_refresh(self._frame)

    def _frame(self) -> None:
        """Title, places, banner, keys, as they are now."""
        if not self.screen_stack or not self.screen_stack[0].query("#title"):
            return
        main = self.screen_stack[0]
        now, wide = self.now, self.size.width
        name = str(now.community["name"]) if now.community else "commons-node"
        left: list[Part] = [(name, "strong", None)]
        if self._busy:
            left.append((f"… {self._busy[-1]}", "quiet", None))
        right: list[Part] = []
        if now.community is not None and wide >= _ROOM:
            right.append((str(now.sync), "quiet", partial(self.go, "peers")))
        right.append(self._who())
        main.query_one("#title", Line).show(left, right)
        titles = [place.title for place in places()] if now.community else []
        parts = nav_parts(titles, self._here, wide - 2, lambda n: partial(self.go_number, n))
        main.query_one("#nav", Line).show(parts)
        banner = main.query_one("#banner", Static)
        told = self._banner()
        banner.set_class(bool(told), "-shown")
        banner.update(safe(told))
        self.keys_changed()

    def _who(self) -> Part:
        me = self.now.me
        if me is None:
            key = self.key_of("app.unlock")
            shown = f"{key} {_('Unlock')}" if self.now.members else ""
            return (shown, "quiet", self.action_unlock)
        left = self.idle.left()
        if left <= self.idle.warn_s:
            told = _("{name}: locks in {seconds} s").format(name=me["name"], seconds=round(left))
            return (f"▲ {told}", "strong", self.action_unlock)
        return (f"◆ {me['name']} · {_(str(me['role'] or '-'))}", "plain", self.action_unlock)

    def _banner(self) -> str:
        if self.now.here is False and self.now.community is not None:
            return f"✕ {_('The node has stopped. Start it: commons-node run')}"
        return f"▲ {self.now.split}" if self.now.split else ""

    def keys_changed(self) -> None:
        """Show which keys make sense now."""
        lines = self.screen_stack[0].query("#keys") if self.screen_stack else ()
        for line in lines:
            left: list[Part] = []
            view = self.view
            if view is not None and self.now.community is not None:
                for act in view.possible():
                    run = partial(view.action_act, act.id)
                    left.append((f"{self.key_of(act.id, act.key)} {_(act.title)} ", "plain", run))
            right: list[Part] = [
                (f"{self.key_of('app.palette')} {_('All')}", "quiet", self.action_command_palette),
                (f"{self.key_of('app.help')} {_('Help')}", "quiet", self.action_help),
            ]
            if isinstance(line, Line):
                line.show(left, right)

    def key_of(self, ident: str, default: str = "") -> str:
        """How the key of a binding is written, after the keymap."""
        return keymap.shown(self.settings.keys.get(ident) or default or keymap.default_of(ident))

    # -- places ----------------------------------------------------------------------------------

    @property
    def view(self) -> PlaceView | None:
        """The place that is seen, once there is a community."""
        return self._views.get(places()[self._here].id)

    def go_number(self, number: int) -> None:
        """Go to a place by where it stands, from 0."""
        self.go(places()[number].id)

    def action_go_number(self, number: int) -> None:
        """The same, for a key."""
        self.go_number(number)

    def go(self, ident: str, key: str | None = None) -> None:
        """Go to a place, and to a row of it."""
        at = next(n for n, place in enumerate(places()) if place.id == ident)
        if at != self._here:
            self._came = [*self._came[-19:], self._here]
        self.run_worker(bound(self._go, at, key), group="go", exclusive=True)

    async def _go(self, at: int, key: str | None = None) -> None:
        self._here = at
        place = places()[at]
        if self.now.community is None or not self.is_running:
            return
        body = self.screen_stack[0].query_one("#body", ContentSwitcher)
        view = self._views.get(place.id)
        if view is None:
            view = self._views[place.id] = place.make()
            await body.mount(view)
        body.current = view.id
        if key is not None:
            view.find(key)
        view.read()
        focused = self.screen_stack[0].focused
        if len(self.screen_stack) == 1 or focused is None or view not in focused.ancestors:
            view.arrive()  # behind a dialog, too: or the keys went to what is not seen any more
        self._frame()

    async def action_back(self) -> None:
        """One step back: within the place, then to the one before."""
        view = self.view
        if view is not None and view.back():
            return
        if self._came:
            at = self._came.pop()
            self.run_worker(bound(self._go, at), group="go", exclusive=True)

    def action_read(self) -> None:
        """Read everything again."""
        self.look_again()

    # -- how things are --------------------------------------------------------------------------

    def look_again(self) -> None:
        """Ask how things are; the place that is seen reads again, too."""
        self.run_worker(bound(self._look), group="now", exclusive=True)

    async def _look(self) -> None:
        self._adopt(await ask_now(self.bridge, self.now.acting))

    def _adopt(self, now: Now) -> None:
        if not self.is_running:  # an answer came while the screen is taken down
            return
        before = self.now
        if now.here is False:  # what was known stays on the screen
            now = Now(False, now.error, before.community, before.communities, before.peers,
                      before.node, before.members, before.acting)  # fmt: skip
        self.now = now
        if now.community is not None and len(now.communities) > 1:
            self.bridge.community = str(now.community["community"])
        body = self.screen_stack[0].query_one("#body", ContentSwitcher)
        if now.community is None:
            body.current = "away" if now.here is False else "welcome"
            child = body.query_one(f"#{body.current}")
            if isinstance(child, Away | Welcome):
                child.show(now)
        elif before.community is None or self.view is None:
            self.run_worker(bound(self._go, self._here), group="go", exclusive=True)
        elif now.here:
            gone = (before.me or {}).get("member") != (now.me or {}).get("member")
            for view in self._views.values():
                if gone:
                    view.wipe()
            self.view.read()
        self._frame()

    def on_told(self, message: Told) -> None:
        """What the node says: read again what it is about."""
        event = str(message.event.get("event"))
        if event == AWAY:
            self._adopt(Now(here=False, error=message.event.get("error")))
            return
        if event in {HERE, "network", "peer", "sync"} or self.now.community is None:
            self.look_again()
        if event == "device":
            told = _("A machine asks to become a device of a member of this node.")
            self.notify(told, timeout=20)
        if event == "flip" and self.now.is_me(message.event.get("member")):
            self.notify(_("Something you did counts otherwise than before."), severity="warning")
        view = self.view
        if view is not None and event in view.events:
            view.read_soon()

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Say in the top line that something is being done."""
        self._busy.append(what)
        self._frame()
        try:
            yield
        finally:
            self._busy.remove(what)
            self._frame()

    # -- who acts --------------------------------------------------------------------------------

    def chosen(self, member: object) -> None:
        """From now on this member acts here."""
        self.idle.touch()
        self.now = Now(**{**_fields(self.now), "acting": str(member) if member else None})

    async def somebody(self) -> bool:
        """Somebody acts, or unlocks now."""
        return self.now.me is not None or await self.unlock()

    async def unlock(self, why: str = "", member: str | None = None) -> bool:
        """Let a member unlock; True if one did."""
        if self.now.here is None:  # the first answer has not come yet
            await self._look()
        if not self.now.members:
            self.notify(_("No member lives on this node yet."), severity="warning")
            return False
        answer = await self.push_screen_wait(Unlock(self.now.members, why=why, chosen=member))
        if answer is None:
            return False
        await self.bridge.adopt(str(answer["session"]))
        self.chosen(answer["member"])
        await self._look()
        if answer.get("news") and (answer["notices"] or answer.get("restored")):
            # news of loans and spaces stands on Home already
            self.notify(str(answer["news"]).replace("[", "\\["), severity="warning", timeout=10)
        return True

    @work(group="unlock")
    async def action_unlock(self) -> None:
        """Unlock, or let another member act."""
        me = self.now.me
        others = [one for one in self.now.members if not self.now.is_me(one["member"])]
        if me is not None and not others:
            self.notify(_("{name} is unlocked here already.").format(name=me["name"]))
            return
        if me is not None:  # one at a time: who goes away takes the key along
            chosen = str(others[0]["member"])
            before = str(me["member"])
            if await self.unlock(_("Whoever acts now is locked then."), chosen):
                if self.now.is_me(before):
                    return
                await self._lock(before)
        else:
            await self.unlock()

    @work(group="lock")
    async def action_lock(self) -> None:
        """Nobody acts here any more, and nothing private is left on the screen."""
        await self._lock()

    async def _lock(self, member: str | None = None) -> None:
        if member is None:
            self.now = Now(**{**_fields(self.now), "members": [
                {**one, "unlocked": False, "seconds": 0} for one in self.now.members
            ]})  # fmt: skip
            for screen in reversed(self.screen_stack[1:]):
                if not isinstance(screen, Dialog) or screen.private:
                    screen.dismiss(None)
            for view in self._views.values():
                view.wipe()
                view.read()
            self._frame()
        try:
            await self.bridge.command("member.lock", {"member": member} if member else {}, 10.0)
        except ApiError as error:  # the node locks by itself when nobody does anything
            self.notify(error.message.replace("[", "\\["), severity="warning")
        self.look_again()

    def _tick(self) -> None:
        if self.now.me is None:
            return
        if self.idle.left() <= 0:
            self.action_lock()
        elif self.idle.left() <= self.idle.warn_s or self.idle.warned:
            self.idle.warned = self.idle.left() <= self.idle.warn_s
            self._frame()
        elif self.idle.to_stay(float(self.now.me["seconds"])):
            self.run_worker(bound(self._stay), group="stay", exclusive=True)

    async def _stay(self) -> None:
        """Somebody is at the keys: the node need not lock."""
        try:
            await self.bridge.view("member.here", {"stay": True})
        except ApiError:
            return
        await self._look()

    # -- what can be done everywhere ---------------------------------------------------------------

    def carry_out(
        self,
        name: str,
        given: Mapping[str, Any] | None = None,
        *,
        ask: bool = False,
        about: str = "",
    ) -> None:
        """Carry a verb out, with all that it asks and tells; see ``Deeds.do``."""
        deed = bound(self.deeds.do, name, given, ask=ask, about=about)
        self.run_worker(deed, group="deed")

    def explain(self, operation: str) -> None:
        """Why an act counts, and what decided it."""
        self.run_worker(bound(explained, self, operation), group="explain", exclusive=True)

    def run_flow(self, flow: Callable[[], Any]) -> None:
        """Run a coroutine function that asks and waits."""
        self.run_worker(bound(flow), group="deed")

    @work(group="help")
    async def action_help(self) -> None:
        """All keys that do something here."""
        await self.push_screen_wait(
            Say(_("Keys"), *keymap.help_lines(self), columns=keymap.COLUMNS, rows=keymap.rows(self))
        )

    async def keep(self, settings: Settings) -> None:
        """Take over other settings, and write them down."""
        self.settings = settings
        self.theme = settings.theme
        self.idle.limit_s = settings.idle_s
        try:
            await off_loop(lambda: save(self.bridge.home, settings))
        except OSError as error:
            told = _("The settings cannot be written: {why}.").format(why=error.strerror)
            self.notify(told, severity="error")


def _fields(now: Now) -> dict[str, Any]:
    return {name: getattr(now, name) for name in Now.__slots__}
