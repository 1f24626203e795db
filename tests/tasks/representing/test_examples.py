"""Examples of probes: no image in two splits, the order of a split does not matter, factors are labels."""

from types import SimpleNamespace

import pytest
import torch

from genarena.data.batches import Split
from genarena.data.ground_truth import GroundTruth
from genarena.spec import DataSpec
from genarena.tasks.representing.examples import examples, labels


class Factors(GroundTruth):
    name, factor_sizes = "toy", {"shape": 3, "x": 4}

    def __init__(self) -> None:
        self.factors = {"test": torch.tensor([[0, 3], [2, 1]])}
        self.test = Split(torch.zeros(2, 1), torch.tensor([0, 2]))

    def render(self, factors: torch.Tensor) -> torch.Tensor:
        return factors[:, :1].float()


def world(train: list[int], val: list[int], test: list[int]) -> SimpleNamespace:
    """Examples that are one number; the label is its last digit."""
    parts = {"train": train, "val": val, "test": test}
    splits = {name: Split(torch.tensor(each)[:, None].float(), torch.tensor(each) % 10) for name, each in parts.items()}
    return SimpleNamespace(name="toy", spec=DataSpec((1,), None, 10), **splits)


def test_twins_of_test_images_leave_the_bank_and_validation() -> None:
    found = examples(world([11, 12, 13, 14, 21], [12, 15, 16], [13, 16, 99]), "class", (9, 9, 9))
    assert [set(part.flatten().tolist()) for part in found.x] == [{11, 14, 21}, {12, 15}, {13, 16, 99}]
    assert found.twins == 3 and torch.equal(found.y.train, found.x.train.flatten().long() % 10)
    assert found.fewest == 0 and found.num_classes == 10


def test_the_order_of_a_split_does_not_matter_where_all_of_it_is_taken() -> None:
    numbers = list(range(100, 140))
    one, two = (examples(world(each, [1], [2]), "class", (99, 9, 9)) for each in (numbers, numbers[::-1]))
    assert torch.equal(one.x.train, two.x.train) and torch.equal(one.few(2, 0), two.few(2, 0))


def test_labels_are_classes_or_factors_and_others_are_refused() -> None:
    assert labels(Factors(), "test", "x").tolist() == [3, 1] and labels(Factors(), "test", "class").tolist() == [0, 2]
    with pytest.raises(ValueError, match="labels=y: toy has no such factor; there are: class, shape, x"):
        labels(Factors(), "test", "y")
    with pytest.raises(ValueError, match="labels=class: toy has no labels"):
        labels(SimpleNamespace(name="toy", test=Split(torch.zeros(2, 1))), "test", "class")
