"""The share of samples that show their label, on predictions made by hand."""

import pytest
import torch

from genarena.metrics.base import Unavailable
from genarena.metrics.class_accuracy import ClassAccuracy
from genarena.spec import DataSpec

SPEC = DataSpec((1, 8, 8), 17, 4, condition="label")


def test_share_by_hand_and_the_ceiling_beside_it() -> None:
    metric = ClassAccuracy()
    metric.update(torch.tensor([0, 1, 2, 3]), torch.tensor([0, 2, 2, 3]), SPEC, 0.98)
    assert metric.compute() == 0.75
    error = (0.75 * 0.25 / 4) ** 0.5
    assert metric.record() == {"n": 4, "standard_error": pytest.approx(error), "real": 0.98, "real_from": "test"}


def test_attributes_are_no_classes() -> None:
    spec = DataSpec((1, 8, 8), 17, num_attributes=2, condition="attributes")
    with pytest.raises(Unavailable, match="conditional on labels"):
        ClassAccuracy().update(torch.zeros(3, 2, dtype=torch.long), torch.zeros(3, dtype=torch.long), spec, 0.98)


def test_chance_is_one_in_k() -> None:
    generator = torch.Generator().manual_seed(0)
    metric = ClassAccuracy()
    metric.update(*torch.randint(4, (2, 40_000), generator=generator), SPEC, 1.0)
    assert metric.compute() == pytest.approx(0.25, abs=0.01)
