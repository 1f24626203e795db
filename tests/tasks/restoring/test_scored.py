"""Floors are scored once per data set and protocol, and are the same from the cache."""

import uuid
from pathlib import Path

import pytest
import torch

from genarena.data.digits import Digits
from genarena.evaluation.classifier import DomainClassifiers
from genarena.files.cache import cache_folder
from genarena.models.baseline.gaussian import Gaussian
from genarena.spec import Batch, DataSpec
from genarena.tasks.base import Outcome
from genarena.tasks.inpaint import Inpaint
from genarena.tasks.restoring import restored, scored
from genarena.tasks.restoring.images import Images
from genarena.tasks.restoring.scored import Scored

SPEC = DataSpec((1, 8, 8), 17, num_classes=10)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may have kept the same floors."""
    code = uuid.uuid4().hex[:8]
    monkeypatch.setattr(scored.sources, "digest_of", lambda module: code)


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
    last = [each.shown["restored.png"].rows[-1] for each in (first, second)]
    assert last[0] == last[1] and last[0].startswith("best floor: ")
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
        monkeypatch.setattr(scored.sources, "digest_of", lambda module, code=code: code)
        scored.kept("some data", "some protocol", lambda code=code: made.append(code) or {})
    assert made == ["one", "two"]


def test_other_classifiers_make_them_again(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their distances and classes are not those of the classifiers that judge the model."""
    judged = []
    own = restored.with_floor
    monkeypatch.setattr(restored, "with_floor", lambda *given: judged.append(given[0].name) or own(*given))
    solved(digits, num=8)
    first = len(judged)
    monkeypatch.setattr(DomainClassifiers, "digest", property(lambda self: "01234567"))
    solved(digits, num=8)
    assert first and len(judged) == 2 * first


def a_floor() -> dict[str, Scored]:
    return {"fill": Scored("", {"mean": {}}, torch.zeros(1, 1, 2, 2))}


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"PK"), lambda path: torch.save({"fill": 1}, path)])
def test_a_damaged_file_is_made_again(damage: object, recwarn: pytest.WarningsRecorder) -> None:
    made: list[int] = []

    def make() -> dict[str, Scored]:
        made.append(len(made))
        return a_floor()

    scored.kept("damaged data", "protocol", make)
    (path,) = (cache_folder() / "damaged data").glob("*.pt")
    damage(path)
    for _ in range(2):
        assert torch.equal(scored.kept("damaged data", "protocol", make)["fill"].shown, torch.zeros(1, 1, 2, 2))
    assert "it is made again" in str(recwarn[0].message)
    path.unlink()
    assert made == [0, 1]


def test_without_a_cache_folder_they_are_made_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be written"):
        found = scored.kept("data", "protocol", a_floor)
    assert list(found) == ["fill"]


def test_the_strength_of_an_algorithm_is_chosen_on_validation_images(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    own = restored.with_strength
    monkeypatch.setattr(restored, "with_strength", lambda *given: seen.append(given[2].x) or own(*given))
    solved(digits)
    assert torch.equal(seen[0], Images.of(digits.val, 5, SPEC).x)
