"""Floors of one class learn from the training and validation examples of the class, and from no test example."""

import torch

from genarena.data.digits import Digits
from genarena.spec import DataSpec
from genarena.tasks.detecting.one_class import OfClass


def test_a_class_has_its_own_training_and_validation_examples() -> None:
    data = Digits(spec=DataSpec((1, 8, 8), 17, 10))
    data.setup()
    for label in (0, 7):
        made = OfClass.of(data, label)
        for own, whole in ((made.train, data.train), (made.val, data.val)):
            chosen = whole.y == label
            assert chosen.any() and torch.equal(own.x[:], whole[chosen.nonzero().flatten()].x)
            assert (own.y == label).all()
