"""Errors that a person may read: the docstring is the sentence, the hint is the way out."""

from __future__ import annotations

from typing import ClassVar, Literal

Status = Literal["failed", "usage", "locked", "timeout", "not_found"]


class CommonsError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "failed"
    hint: ClassVar[str] = ""
    status: ClassVar[Status] = "failed"

    def __init__(self, **details: object) -> None:
        """Fill the ``{names}`` of the docstring and of the hint with ``details``."""
        self.details = details
        sentence = " ".join((type(self).__doc__ or CommonsError.__doc__ or "").split())
        super().__init__(sentence.format(**details))
        self.way_out = type(self).hint.format(**details)


class Refused(CommonsError):
    """The operation was refused: {why}."""

    code = "refused"

    def __init__(self, why: str) -> None:
        """``why`` is one of the refusal codes of ``docs/protocol/README.md``."""
        super().__init__(why=why)
        self.why = why
