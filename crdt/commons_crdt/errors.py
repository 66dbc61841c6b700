"""Errors that a person may read: the docstring is the sentence, the hint is the way out."""

from __future__ import annotations

from typing import ClassVar, Literal

from commons_crdt.texts import _

Status = Literal["failed", "usage", "locked", "timeout", "not_found", "unavailable"]


class CommonsError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "failed"
    hint: ClassVar[str] = ""
    status: ClassVar[Status] = "failed"

    texts: ClassVar[tuple[str, ...]] = ()
    """Those of the details that are texts of this program, and translated with the sentence."""

    def __init__(self, **details: object) -> None:
        """Fill the ``{names}`` of the docstring and of the hint with ``details``."""
        self.details = details
        self.template = " ".join((type(self).__doc__ or CommonsError.__doc__ or "").split())
        super().__init__(self._filled(self.template))
        self._filled(type(self).hint)  # a missing detail is a fault where the error is raised

    def __str__(self) -> str:
        """The sentence, in the language of whoever reads it now."""
        return self._filled(_(self.template))

    @property
    def way_out(self) -> str:
        """What to do about it, likewise."""
        return self._filled(_(type(self).hint))

    def _filled(self, template: str) -> str:
        spoken = {name: _(str(self.details[name])) for name in type(self).texts}
        return template.format(**{**self.details, **spoken})


class Refused(CommonsError):
    """The operation was refused: {why}."""

    code = "refused"

    def __init__(self, why: str) -> None:
        """``why`` is one of the refusal codes of ``docs/protocol/README.md``."""
        super().__init__(why=why)
        self.why = why
