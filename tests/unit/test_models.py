"""Models of the host: asked in a process of their own, and none is required."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.unit.bureau import bureau

from commons_crdt.errors import CommonsError
from commons_node.agents.manifest import Grant
from commons_node.models import held
from commons_node.models.held import GROUP, LacksPackage, ModelFault, Models, NoModel

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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as pip installs one, with models of which one needs a library that is not here."""
    site = tmp_path / "site"
    info = site / "elm_models-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elm-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nnoise = elm_models:noise\nsure = elm_lacking:model\n"
    )
    # as of scikit-learn: predict, which answers an array
    (site / "elm_models.py").write_text(
        "class Answer(list):\n    tolist = list.copy\n\n"
        "class Noise:\n    def predict(self, rows):\n"
        "        return Answer('loud' if sum(row) > 1 else 'quiet' for row in rows)\n\n"
        "noise = Noise()\n"
    )
    (site / "elm_lacking.py").write_text("import sklearn_of_nobody.linear_model\n")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(root)]))
    monkeypatch.syspath_prepend(str(site))
    return site


async def test_an_installed_package_brings_its_models(tmp_path: Path, package: Path) -> None:
    granted = {"model.infer": Grant(drivers=("noise", "sure"))}
    async with bureau(tmp_path, granted=granted) as house:
        assert {"noise", "sure"} <= set(house.inside.models.names)
        run = await house.run()
        answer = await run("model.infer", model="noise", input=[[0.1, 0.2], [3, 4]])
        assert answer == {"output": ["quiet", "loud"]}
        for _ in range(2):
            with pytest.raises(LacksPackage) as found:
                await run("model.infer", model="sure", input=[])
            assert found.value.code == "not_set_up"
            assert "sklearn_of_nobody" in str(found.value)
            assert found.value.way_out.endswith("pip install sklearn_of_nobody")
        (package / "sklearn_of_nobody").mkdir()
        (package / "sklearn_of_nobody" / "linear_model.py").write_text("")
        (package / "elm_lacking.py").write_text(
            "import sklearn_of_nobody.linear_model\nmodel = len\n"
        )
        answer = await run("model.infer", model="sure", input=[1, 2])
        assert answer == {"output": 2}, "installed meanwhile, and no restart"
    models = Models({"noise": f"{HERE}:twice"})
    try:
        assert await models.infer("noise", 2) == 4, "config.toml has the last word"
    finally:
        await models.stop()


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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it limits nothing")
async def test_a_model_that_eats_memory_fails_at_its_bound() -> None:
    models = Models({"eats": f"{HERE}:eats"}, room_mib=64)
    try:
        assert await models.infer("eats", 16) == 16 << 20, "what is within is granted"
        with pytest.raises(ModelFault, match="MemoryError"):
            await models.infer("eats", 4_096)
        assert await models.infer("eats", 16) == 16 << 20, "and it goes on"
    finally:
        await models.stop()
