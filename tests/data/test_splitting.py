"""Parts of a set by its labels: the same for every seed of a run, nested, with a data id of their own."""

import pytest
import torch

from genarena.data.digits import Digits
from genarena.data.sprites import Sprites
from genarena.errors import DataError
from genarena.spec import DataSpec
from genarena.tasks.augmenting.fractions import labelled, whole


def digits(**options: object) -> Digits:
    data = Digits(DataSpec((1, 8, 8), 17, 10), **options)
    data.setup()
    return data


def test_the_examples_of_one_label() -> None:
    every, three = digits(), digits(only=3, max_test=10)
    for name in ("train", "val"):
        all_of_it, part = getattr(every, name), getattr(three, name)
        assert torch.equal(part.x, all_of_it.x[all_of_it.y == 3]) and (part.y == 3).all()
    assert three.test.size == 10 and (three.test.y == 3).all()
    assert three.facts["id"].startswith("digits-class3-test10-") and three.facts["cut"] == {"class": 3, "test": 10}
    assert three.facts["id"] != digits(only=4, max_test=10).facts["id"]


def test_a_fraction_is_what_augmentation_calls_labelled() -> None:
    every, tenth = digits(), digits(label_fraction=0.1, seed=5)
    known = labelled(every.train, every.val, 0.1, seed=0).real
    assert torch.equal(tenth.train.x, known.x) and torch.equal(tenth.train.y, known.y) and known.size == 126
    assert torch.equal(tenth.val.x, every.val.x) and torch.equal(tenth.test.x, every.test.x)
    both = digits(label_fraction=0.1, only=7)
    assert torch.equal(both.train.x, known.x[known.y == 7])
    assert whole(both).facts == every.facts and whole(every) is every


def test_labels_that_are_not_there() -> None:
    with pytest.raises(DataError, match="data.only=10: no train example of digits has that label"):
        digits(only=10)
    with pytest.raises(DataError, match="data.label_fraction=0.1: sprites has no labels to choose by"):
        Sprites(DataSpec((1, 64, 64), 2, 3), label_fraction=0.1).setup()
