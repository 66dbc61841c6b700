"""Nodes for the tests of the terminal interface: real daemons, one street for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.neighbourhood import Street, street


@pytest.fixture(scope="module")
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made
