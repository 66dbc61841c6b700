"""A place: one of the screens that a member goes to, filled from views and refreshed by events.

A place reads in a worker and shows what came; what was read before stays on the screen meanwhile.
One that is ``private`` shows nothing while nobody is unlocked at this terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static
from textual.worker import Worker

from commons_cli.texts import _
from commons_tui.bidi import safe
from commons_tui.bridge import ApiError

if TYPE_CHECKING:
    from commons_tui.app import CommonsApp

SETTLE_S: Final = 0.25
"""Events that come so soon after another one cause one reading together."""


def place_key(number: int) -> str:
    """The key of the place that stands there, from 0: 1 to 9, then 0."""
    return str((number + 1) % 10)


@dataclass(frozen=True, slots=True)
class Place:
    """What a file of ``places`` declares: ``id`` is stable, ``order`` is where it stands."""

    id: str
    title: str
    order: int
    make: Callable[[], PlaceView]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done here and now: a verb, or a method of the place.

    ``id`` is the key's stable name, usually the verb's. ``fits`` says whether it makes sense for
    the row under the cursor.
    """

    id: str
    key: str
    title: str
    fits: Callable[[Any], bool]
    run: Callable[[Any], Any]


class PlaceView(Vertical):
    """The base of all places. ``load`` reads, ``show`` draws, ``wipe`` forgets."""

    private: ClassVar[bool] = False
    events: ClassVar[frozenset[str]] = frozenset({"operations", "flip"})
    """Which of the node's events make it read again."""
    app: CommonsApp
    acts: tuple[Act, ...] = ()

    def __init__(self, ident: str) -> None:
        """``ident`` as in ``Place``."""
        super().__init__(id=f"place-{ident}")
        self._reading: Worker[None] | None = None
        self._again = False
        self._soon = False

    # -- for subclasses --------------------------------------------------------------------------

    async def load(self) -> Any:
        """Read what is shown. Raises ApiError."""
        return None

    def show(self, found: Any) -> None:
        """Show what ``load`` has found."""

    def wipe(self) -> None:
        """Forget everything that was shown."""

    def subject(self) -> Any:
        """What acts are about: the row under the cursor."""
        return None

    def find(self, key: str) -> None:
        """Put the cursor on what has this key, now or when it comes."""

    def back(self) -> bool:
        """Go one step back within the place; False if there is none."""
        return False

    def arrive(self) -> None:
        """The place is seen: take the focus."""

    # -- reading ---------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """False before its widgets are there, and from when it is taken down: keys may still come,
        and what was being read. Textual ends a widget's workers only after its children are gone
        (Textualize/textual#6361), but stops running it before.
        """
        return self.is_mounted and self.is_running

    @property
    def shut(self) -> bool:
        """True while there is nobody to show it to."""
        return self.private and self.app.now.me is None

    def read(self) -> None:
        """Read again, in a worker. While one reading runs, one more is remembered."""
        self.set_class(self.shut, "-locked")
        if self.shut:
            self.wipe()
            return
        if self._reading is not None and not self._reading.is_finished:
            self._again = True
            return
        self._reading = self.run_worker(bound(self._read))

    def read_soon(self) -> None:
        """Read again in a moment."""
        if not self._soon:
            self._soon = True
            self.set_timer(SETTLE_S, self._read_now)

    def _read_now(self) -> None:
        self._soon = False
        self.read()

    async def _read(self) -> None:
        while True:
            self._again = False
            try:
                found = await self.load()
            except ApiError as error:
                self.note(error)
            else:
                if self.ready and not self.shut:  # somebody may have locked it meanwhile
                    self.note(None)
                    self.show(found)
                    self.app.keys_changed()
            if not self._again or not self.is_attached:
                return

    def note(self, error: ApiError | None) -> None:
        """Say above the rest why it could not be read; nothing for None, or while it is away."""
        for line in self.query(".note").results(Static):
            told = error is not None and error.code not in {"not_running", "stopped"}
            line.set_class(told, "-shown")
            if error is not None:
                line.update(plain(f"✕ {error.message}  {error.hint}"))

    def locked_text(self) -> str:
        """What stands here while nobody is unlocked."""
        key = self.app.key_of("app.unlock")
        return _("Locked. Press {key} and give your passphrase to see this.").format(key=key)

    # -- acts ------------------------------------------------------------------------------------

    def possible(self) -> list[Act]:
        """The acts that make sense now."""
        if self.shut:
            return []
        subject = self.subject()
        return [act for act in self.acts if act.fits(subject)]

    def action_act(self, ident: str) -> None:
        """Do one of them."""
        for act in self.possible():
            if act.id == ident:
                act.run(self.subject())
                return

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An act that does not fit has no key."""
        if action == "act":
            return any(act.id == parameters[0] for act in self.possible())
        return True


def bound(work: Callable[..., Coroutine[Any, Any, Any]], *given: object, **more: object) -> Any:
    """``work`` with its arguments as a worker takes it: called when its turn comes, or never."""
    return partial(work, *given, **more)


def bindings(*acts: tuple[str, str, str]) -> list[BindingType]:
    """Keys of a place: ``(id, key, title)`` of each act."""
    return [
        Binding(key, f"act('{ident}')", title, id=ident, show=False) for ident, key, title in acts
    ]


def plain(text: str) -> str:
    """Text from outside for a widget that reads markup."""
    return safe(text).replace("[", "\\[")
