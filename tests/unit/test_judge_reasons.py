"""Every reason and every code that the core can give is explained to somebody."""

import ast
from pathlib import Path

import pytest

import commons_crdt
from commons_crdt.authority.kinds import CORE
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.roles import Role
from commons_crdt.sentences import SENTENCES
from commons_crdt.verdict import Judgement, Verdict, rejected

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(next(iter(commons_crdt.__path__)))
FILES = [p for p in PACKAGE.rglob("*.py") if "document" not in p.relative_to(PACKAGE).parts]
STRATA = {
    ("cuts", "place"),
    ("identity", "named"),
    ("identity", "reason"),
    ("signatures", "_admitted"),
    ("signatures", "_consent"),
    ("signatures", "_readmitted"),
    ("stratum_c", "_rule_in_c"),
    ("stratum_d", "_admitted"),
    ("stratum_d", "_readmitted"),
}
RULES = {kind.rule.__name__ for kind in CORE}


def texts(node: ast.AST) -> set[str]:
    return {
        leaf.value
        for leaf in ast.walk(node)
        if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
    }


def called(name: str, position: int) -> set[str]:
    """Every text that the core gives as an argument to ``name(…)``."""
    found: set[str] = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == name
                and len(node.args) > position
            ):
                found |= texts(node.args[position])
    return found


def returned() -> set[str]:
    """Every text that a core kind's own rule returns, or one of the strata as a reason."""
    found: set[str] = set()
    for path in sorted((PACKAGE / "authority").glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            if function.name in RULES or (path.stem, function.name) in STRATA:
                for node in ast.walk(function):
                    if isinstance(node, ast.Return) and node.value is not None:
                        found |= texts(node.value)
    return found


REASONS = called("rejected", 0) | called("Judgement", 1) | returned() | {"malformed"}
CODES = called("Refused", 0)


def test_every_reason_that_the_core_gives_has_a_sentence() -> None:
    assert len(REASONS) > 30, "the scan finds what it looks for"
    assert {"possession", "release", "closed", "warrant", "revoked", "target"} <= REASONS
    assert SENTENCES.keys() >= REASONS, "a verdict explains itself to a member"


def test_sentences_are_sentences() -> None:
    for reason, sentence in SENTENCES.items():
        assert sentence[0].isupper(), f"{reason} begins a sentence"
        assert sentence.endswith("."), f"{reason} ends one"


def test_the_protocol_page_explains_every_code_reason_and_kind() -> None:
    page = (ROOT / "docs/protocol/README.md").read_text(encoding="utf-8")
    for word in sorted(CODES | REASONS | set(SENTENCES) | {kind.name for kind in CORE}):
        assert not word or f"`{word}`" in page, f"docs/protocol/README.md explains {word}"


def test_a_reason_without_a_sentence_cannot_be_given() -> None:
    with pytest.raises(ValueError, match="because"):
        rejected("because")


def test_only_what_waits_is_not_final() -> None:
    assert [verdict for verdict in Verdict if not verdict.final] == [Verdict.PENDING]
    assert Judgement(Verdict.ACCEPTED).sentence


def test_an_error_is_a_sentence_with_a_way_out() -> None:
    class Lost(CommonsError):
        """The {thing} is lost."""

        hint = "look under the {place}"

    error = Lost(thing="drill", place="bench")
    assert (str(error), error.way_out) == ("The drill is lost.", "look under the bench")
    assert Refused("size").why == "size"
    assert str(Refused("size")) == "The operation was refused: size."


def test_roles_are_in_the_order_of_what_they_may_do() -> None:
    assert [role.word for role in sorted(Role)] == [
        "newcomer",
        "member",
        "steward",
        "host",
        "coordinator",
    ]
