"""Models of the host: asked in a process of their own, and none is required."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.bureau import bureau

from commons_crdt.errors import CommonsError
from commons_node.agents.manifest import Grant
from commons_node.models import held
from commons_node.models.held import ModelFault, Models, NoModel

HERE = "tests.unit.models_of_tests"


@pytest.fixture(autouse=True)
def found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


async def test_an_agent_asks_a_model_that_was_trained_on_the_example(tmp_path: Path) -> None:
    models = {"kinds": f"{HERE}:kinds", "twice": f"{HERE}:twice"}
    granted = {"model.infer": Grant(drivers=("kinds", "gone"))}
    async with bureau(tmp_path, models=models, granted=granted) as house:
        run = await house.run()
        drill, mower = (
            await run("model.infer", model="kinds", input=["Cordless drill", "Lawn mower"])
        )["output"]
        assert drill != mower, "it tells a drill from a mower"
        assert run.dealing.cost == 50, "a question has its price"
        for model, code in (("twice", "not_granted"), ("gone", "not_set_up")):
            with pytest.raises(CommonsError) as found:
                await run("model.infer", model=model, input=1)
            assert found.value.code == code
        with pytest.raises(CommonsError) as found:
            await run("model.infer", model="kinds", input="x" * (600 << 10))
        assert found.value.code == "too_much"


async def test_a_model_that_misbehaves_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "THINK_S", 1.0)
    names = ("twice", "fails", "dies", "hangs", "loud", "NOT_CALLABLE", "absent")
    models = Models({one.lower(): f"{HERE}:{one}" for one in names})
    try:
        assert await asyncio.gather(*(models.infer("twice", n) for n in range(5))) == [
            0, 2, 4, 6, 8,
        ], "one after the other, each with its own answer"  # fmt: skip
        said = {}
        for name in names[1:]:
            with pytest.raises(ModelFault) as found:
                await models.infer(name.lower(), 1)
            said[name] = str(found.value)
        assert "I do not know" in said["fails"]
        assert "longer than 1 s" in said["hangs"]
        assert "can't be called" in said["NOT_CALLABLE"]
        assert "absent" in said["absent"]
        assert await models.infer("twice", 21) == 42, "the others go on"
        with pytest.raises(NoModel) as none:
            await models.infer("nobody", 1)
        assert "config.toml" in none.value.way_out
    finally:
        await models.stop()
    assert models._processes == {}
