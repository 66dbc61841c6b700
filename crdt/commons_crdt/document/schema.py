"""Which fields a kind of document has, and the bounds of each.

Never knows who may write a field (that is `Candidate.may`), and never holds lists or nested maps:
a list is a text with separators, made and read by its domain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from commons_crdt.document.values import Fields, Value
from commons_crdt.errors import CommonsError
from commons_crdt.texts import _

FieldType: TypeAlias = Literal["text", "integer", "boolean"]

INTEGER_LIMIT = 2**53
"""Integers stay strictly inside ±2^53: JavaScript peers cannot read larger ones exactly."""

TEXT_LIMIT = 16_384
FIELDS_LIMIT = 64


class FieldError(CommonsError):
    """The field {field} {problem}."""

    code = "field"
    hint = "Give a value that fits, or leave the field out."
    status = "usage"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field=field, problem=problem)
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.field, self.problem)  # it crosses from a worker to its parent


@dataclass(frozen=True, slots=True)
class Field:
    """One scalar field. `max_length` in Unicode code points, `minimum`/`maximum` inclusive.

    A field that is required at creation can't be emptied (None) later either.
    """

    type: FieldType
    max_length: int = 0
    minimum: int = -INTEGER_LIMIT + 1
    maximum: int = INTEGER_LIMIT - 1
    required_at_creation: bool = False

    def __post_init__(self) -> None:
        if self.type not in ("text", "integer", "boolean"):
            raise ValueError(f"no such field type: {self.type!r}")
        if self.type == "text" and not 0 < self.max_length <= TEXT_LIMIT:
            raise ValueError(f"max_length of a text must be 1..{TEXT_LIMIT}")
        if not -INTEGER_LIMIT < self.minimum <= self.maximum < INTEGER_LIMIT:
            raise ValueError("bounds must stay inside ±2^53, the smaller one first")

    @classmethod
    def text(cls, max_length: int, *, required: bool = False) -> Self:
        return cls("text", max_length=max_length, required_at_creation=required)

    @classmethod
    def integer(cls, minimum: int, maximum: int, *, required: bool = False) -> Self:
        return cls("integer", minimum=minimum, maximum=maximum, required_at_creation=required)

    @classmethod
    def boolean(cls, *, required: bool = False) -> Self:
        return cls("boolean", required_at_creation=required)

    def problem(self, value: object) -> str | None:
        """Says what is wrong with the value, or None. The exact type counts: True is no integer."""
        if value is None:
            return _("may not be empty") if self.required_at_creation else None
        kind = type(value)
        if self.type == "text":
            if kind is not str:
                return _("must be a text")
            if len(value) > self.max_length:  # type: ignore[arg-type]
                return _("must be at most {max_length} characters").format(
                    max_length=self.max_length
                )
            return None
        if self.type == "boolean":
            return None if kind is bool else _("must be true or false")
        if kind is not int:
            return _("must be an integer")
        if not self.minimum <= value <= self.maximum:  # type: ignore[operator]
            return _("must be {minimum} to {maximum}").format(
                minimum=self.minimum, maximum=self.maximum
            )
        return None


@dataclass(frozen=True, slots=True)
class DocumentSchema:
    """The fields of one kind of document, in the order in which they are written."""

    name: str
    fields: Mapping[str, Field]

    def __post_init__(self) -> None:
        if not 0 < len(self.fields) <= FIELDS_LIMIT:
            raise ValueError(f"a document has 1..{FIELDS_LIMIT} fields")
        for name in self.fields:
            if not 0 < len(name) <= 64:
                raise ValueError("a field's name has 1..64 characters")

    def problem(self, name: str, value: Value) -> str | None:
        """Says what is wrong with this value of this field, or None."""
        field = self.fields.get(name)
        return _("is not a field of this document") if field is None else field.problem(value)

    def missing(self, written: Fields) -> str | None:
        """Names the first field that a creation must write and doesn't, or None."""
        for name, field in self.fields.items():
            if field.required_at_creation and written.get(name) is None:
                return name
        return None
