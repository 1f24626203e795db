"""Floors are scored once per data set and protocol, and are the same from the cache."""

import pytest
import torch

from genarena.data.digits import Digits
from genarena.models.baseline.gaussian import Gaussian
from genarena.spec import Batch, DataSpec
from genarena.tasks.base import Outcome
from genarena.tasks.inpaint import Inpaint
from genarena.tasks.restoring import restored, scored

SPEC = DataSpec((1, 8, 8), 17, num_classes=10)


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(spec=SPEC)
    data.setup("fit")
    return data


def solved(data: Digits, num: int = 6, factor: float = 1.0) -> Outcome:
    """Of a Gaussian; factor: of its covariance, which tells models apart."""
    model, task = Gaussian(SPEC), Inpaint(num_images=num, num_draws=2, num_val=5)
    model.observe(Batch(data.train[:].x))
    model.scatter *= factor
    return task.solve(model, task.algorithm_for(model), data, "inpaint_center")


def test_the_next_model_finds_the_floors_of_the_first(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    own = restored.with_floor
    monkeypatch.setattr(restored, "with_floor", lambda *given: calls.append(given[0].name) or own(*given))
    first, second = solved(digits), solved(digits, factor=1.5)
    assert calls == ["fill", "lmmse", "nearest", "ten_nearest", "biharmonic"]
    assert first.floors == second.floors and "lmmse, draw" in first.floors
    assert first.shown[-1] == second.shown[-1] and first.shown[-1].startswith("best floor: ")
    of_floor = [each.pictures["restored.png"].unflatten(0, (-1, 10))[-1] for each in (first, second)]
    assert torch.equal(*of_floor)
    psnr = [each.lines["mean"].metrics["psnr"] for each in (first, second)]
    assert psnr[0]["value"] != psnr[1]["value"]
    gaps = [each["value"] - each["margin"]["value"] for each in psnr]  # margins are over the same floor, image by image
    best = first.floors[psnr[0]["margin"]["over"]].metrics["psnr"]["value"]
    assert gaps == pytest.approx([best, best], abs=1e-9)
    solved(digits, num=7)
    assert len(calls) == 10  # another protocol


def test_other_code_makes_them_again(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for code in ("one", "two", "one"):
        monkeypatch.setattr(scored, "code", lambda code=code: code)
        scored.kept("some data", "some protocol", lambda code=code: made.append(code) or {})
    assert made == ["one", "two"]
