"""Which floors there are, for which degradations, and of which images."""

import torch

from genarena.data.batches import Split
from genarena.spec import DataSpec
from genarena.tasks.floors import every
from genarena.tasks.linear.degradations import degradation, names
from genarena.tasks.restoring import restored
from genarena.tasks.restoring.images import Images

SPEC = DataSpec((3, 12, 16), 17)


class Data:
    spec = SPEC

    def __init__(self, name: str = "some") -> None:
        self.facts = {"id": name}
        x = torch.randint(0, 17, (40, *SPEC.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        self.train, self.val, self.test = Split(x[:25]), Split(x[25:30]), Split(x[30:])


def test_each_degradation_has_its_floors() -> None:
    data, made = Data(), {}
    test, val = (Images.of(split, 4, SPEC) for split in (data.test, data.val))
    for name in names(SPEC):
        degraded = degradation(name)
        operator = test.observed(degraded, 0).operator
        fitting = [floor for floor in every.of_data(data) if floor.fits(operator, degraded.sigma)]
        made[name] = {floor.name for floor in fitting}
        for floor in fitting:
            found = restored.with_floor(floor, test, val, degraded, 0, num_draws=2)
            assert found.mean.shape == (4, *SPEC.shape) and found.mean.dtype == torch.float64
            assert (found.draws is None) == (floor.name != "lmmse") and found.failures == 0
    shared = {"fill", "lmmse", "nearest", "ten_nearest"}
    for name, found in made.items():
        kind = name.partition("_")[0]
        more = {
            "denoise": {"total_variation", "gaussian_blur"},
            "inpaint": {"biharmonic"},
            "sr2": {"bicubic"},
            "sr4": {"bicubic"},
        }
        assert found == shared | more.get(kind, set()), name


def test_they_are_made_once_per_data_set() -> None:
    made = every.of_data(Data())
    assert every.of_data(Data()) is made  # as when several runs of one data set are opened
    assert every.of_data(Data("other")) is not made
    assert len(every.of_data(Data("other"), every.FLOORS[:2])) == 2


def test_training_images_fit_in_memory(monkeypatch) -> None:
    data = Data()
    whole = every.training_images(data)
    assert whole.dtype == torch.float32 and torch.equal((whole * 16).round().byte(), data.train.x)
    monkeypatch.setattr(every, "LARGEST", 10 * SPEC.num_dims + 5)
    few = every.training_images(data)
    assert len(few) == every.most(SPEC.shape) == 10
    assert all((whole == image).flatten(1).all(1).any() for image in few)
    assert torch.equal(few, every.training_images(data))
