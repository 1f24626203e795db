"""The mean balanced accuracy of samples' attributes, on predictions made by hand."""

import pytest
import torch

from genarena.metrics.attribute_accuracy import AttributeAccuracy
from genarena.metrics.base import Unavailable


def test_by_hand_and_the_ceiling_beside_it() -> None:
    metric, asked = AttributeAccuracy(), torch.zeros(100, 2, dtype=torch.long)
    asked[:20, 0], asked[:50, 1] = 1, 1
    shown = asked.bool()
    shown[:5, 0] = False
    metric.update(shown, asked, 0.93)
    assert metric.compute() == pytest.approx((0.5 * (0.75 + 1.0) + 1.0) / 2.0, abs=1e-12)
    record = metric.record()
    assert (record["n"], record["attributes"], record["chance"]) == (100, "2 of 2", 0.5)
    assert (record["real"], record["real_from"]) == (0.93, "test")


def test_too_few_samples_have_no_number() -> None:
    metric = AttributeAccuracy()
    metric.update(torch.ones(12, 2).bool(), torch.ones(12, 2, dtype=torch.long), 1.0)
    with pytest.raises(Unavailable, match="no attribute that 10 of 12 samples are asked for and 10 not"):
        metric.compute()
