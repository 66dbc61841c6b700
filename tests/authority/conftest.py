"""Every story is told to both evaluators."""

import pytest
from tests.authority.evaluators import EVALUATORS, Says


@pytest.fixture(params=sorted(EVALUATORS))
def says(request: pytest.FixtureRequest) -> Says:
    """What one of the evaluators says of operations."""
    return Says(EVALUATORS[request.param])
