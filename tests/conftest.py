"""What every test shares: async tests run on asyncio, as the daemon does, and read English.

A test of the libp2p host asks for Trio by itself:
`@pytest.mark.parametrize("anyio_backend", ["trio"])`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.unit.rooms import Rooms

    from commons_node.verifier.pool import VerifierPool

# A story that is slow on a busy machine is none that fails, and what everybody runs draws what it
# drew before: EXPLORE=1 draws anew, and prints how to repeat what it finds.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("exploring", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("exploring" if os.environ.get("EXPLORE") else "steady")

# Whatever this machine speaks; a test of another language says so itself.
os.environ["LANGUAGE"] = "en"
for _name in ("LC_ALL", "LC_MESSAGES"):
    os.environ.pop(_name, None)

# A shell that puts a run into the background has it, and all that it starts, ignore this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """Compile the catalogues if their sources are newer: nobody tests yesterday's sentences."""
    for source in Path(__file__).parents[1].glob("node/commons_node/locale/*/LC_MESSAGES/*.po"):
        made = source.with_suffix(".mo")
        if not made.exists() or made.stat().st_mtime_ns < source.stat().st_mtime_ns:
            from scripts import texts  # babel only when there is something to do

            texts.compiled(source)


LONGEST = (
    "e2e/test_soak.py", "simulation/test_simulator_mutants.py", "authority/test_differential.py",
    "cli/test_pages.py", "e2e/test_damaged_pages.py", "e2e/test_backup.py",
    "simulation/test_simulator_courier.py", "authority/test_paxos.py",
    "simulation/test_simulator_faults.py", "simulation/test_scale.py", "e2e/test_gossip_model.py",
    "authority/test_properties.py", "e2e/journeys/test_opening.py", "e2e/test_kills_within.py",
    "e2e/test_jobs_kills.py", "netns/test_lan.py", "e2e/journeys/test_10_leaving.py",
    "e2e/test_bundles.py", "e2e/test_kills.py", "netns/test_internet.py", "unit/test_packaging.py",
    "e2e/test_own_chain.py", "e2e/test_read_only.py", "e2e/test_example.py", "e2e/test_parts.py",
    "e2e/test_clock.py", "e2e/test_old_homes.py", "authority/test_growth.py",
)  # fmt: skip
"""Files whose long tests take more than half a minute together."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where the long tests run, the longest files begin: no worker is left alone with one."""
    if config.option.markexpr == "long":
        root = Path(__file__).parent
        turn = {root / name: n for n, name in enumerate(LONGEST)}
        assert all(file.exists() for file in turn), "each of the longest is still there"
        items.sort(key=lambda item: turn.get(item.path, len(turn)))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch passphrases little: how slow that is, is tested elsewhere."""
    from commons_node.keystore import sealing  # libsodium for those who want it

    monkeypatch.setattr(sealing, "MEMORY", 1 << 16)
    monkeypatch.setattr(sealing, "PASSES", 1)


@pytest.fixture(scope="module")
def pool(request: pytest.FixtureRequest) -> Iterator[VerifierPool]:
    """Real verifier processes for a module; ``VERIFIERS`` of the module says how many, else 2."""
    from tests.unit.rooms import workers  # a node's store, for those who want one

    with workers(getattr(request.module, "VERIFIERS", 2)) as made:
        yield made


@pytest.fixture
async def rooms(tmp_path: Path, pool: VerifierPool) -> AsyncIterator[Rooms]:
    """Rooms of the small town, closed at the end."""
    from tests.unit.rooms import Rooms  # likewise

    async with Rooms(tmp_path, pool) as made:
        yield made
