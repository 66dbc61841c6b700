"""Every domain says what of a member it adds to ``member export``, or why it adds nothing."""

from __future__ import annotations

import pytest

from commons_node.domains import DOMAINS
from commons_node.domains.domain import Domain, Elsewhere
from commons_node.domains.leaving.exporting import SCHEMA
from commons_node.registry import Registry

ALWAYS = {*SCHEMA, "schema.json", "README.txt"}


def undeclared(domain: Domain) -> str:
    """What is wrong with what a domain says; "" if nothing is."""
    if isinstance(domain.about, Elsewhere):
        return "" if len(domain.about.why.split()) > 5 else "it does not say where it stands"
    if not domain.about:
        return "it says nothing"
    return "" if all(one.says and one.fields for one in domain.about) else "it is not described"


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda one: one.name)
def test_each_domain_says_what_a_member_takes_along(domain: Domain) -> None:
    assert undeclared(domain) == "", "see commons_node.domains.domain.About"


def test_a_domain_that_says_nothing_is_found() -> None:
    for about in ((), Elsewhere(""), Elsewhere("nothing")):
        assert undeclared(Domain("later", (), (), Registry(), about))


def test_no_two_files_have_one_name() -> None:
    files = [one.file for domain in DOMAINS for one in domain.files]
    assert len({*files} | ALWAYS) == len(files) + len(ALWAYS)
    assert all(name.endswith(".json") for name in files)
