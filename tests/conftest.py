"""What every test shares: async tests run on asyncio, as the daemon does.

A test of the libp2p host asks for Trio by itself:
`@pytest.mark.parametrize("anyio_backend", ["trio"])`.
"""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
