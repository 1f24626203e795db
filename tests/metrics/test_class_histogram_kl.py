"""Mode dropping on histograms made by hand."""

import math

import pytest
import torch

from genarena.metrics.class_histogram_kl import ClassHistogramKL, histogram_kl
from genarena.spec import DataSpec

SPEC = DataSpec((1, 8, 8), 17, 4)


def test_smoothed_value_by_hand() -> None:
    """Counts (3, 0) and (1, 1) plus 1/2: p = (7/8, 1/8), q = (1/2, 1/2)."""
    value = histogram_kl(torch.tensor([3, 0]), torch.tensor([1, 1]))
    assert value == pytest.approx(7 / 8 * math.log(7 / 4) + 1 / 8 * math.log(1 / 4), rel=1e-12)


def test_collapse_to_one_of_k_is_log_k() -> None:
    assert histogram_kl(torch.tensor([10**7, 0, 0, 0]), torch.full((4,), 10**6)) == pytest.approx(math.log(4), rel=1e-4)
    assert histogram_kl(torch.full((4,), 50), torch.full((4,), 1000)) == pytest.approx(0.0, abs=1e-12)


def test_absent_classes_and_batches() -> None:
    """The highest class is never predicted: the histogram still has K bins, and batches add up."""
    metric = ClassHistogramKL()
    metric.update(torch.tensor([0, 1, 2]), torch.tensor([0, 0]), SPEC)
    metric.update(torch.tensor([2, 1, 0]), torch.tensor([1, 0]), SPEC)
    value = metric.compute()
    assert value == pytest.approx(histogram_kl(torch.tensor([3, 1, 0, 0]), torch.tensor([2, 2, 2, 0])), rel=1e-12)
    record = metric.record()
    assert (record["n"], record["n_real"], record["counts"], record["classes_drawn"]) == (4, 6, [3, 1, 0, 0], 2)


def test_by_chance_is_what_the_data_itself_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    values, expected = [], 0.0
    for _ in range(300):
        metric = ClassHistogramKL()
        metric.update(*torch.randint(4, (2, 2000), generator=generator), SPEC)
        values.append(metric.compute())
        expected = metric.record()["by_chance"]
    assert sum(values) / len(values) == pytest.approx(expected, rel=0.15)
