"""Mode dropping on histograms made by hand."""

import math

import pytest
import torch

from genarena.metrics import class_histogram_kl
from genarena.metrics.base import Fresh, Unavailable
from genarena.metrics.class_histogram_kl import ClassHistogramKL, histogram_kl
from genarena.spec import DataSpec

SPEC = DataSpec((1, 8, 8), 17, 4)


def test_smoothed_value_by_hand() -> None:
    """Counts (3, 0) and (1, 1) plus 1/2: p = (7/8, 1/8), q = (1/2, 1/2)."""
    value = histogram_kl(torch.tensor([3, 0]), torch.tensor([1, 1])).value
    assert value == pytest.approx(7 / 8 * math.log(7 / 4) + 1 / 8 * math.log(1 / 4), rel=1e-12)


def test_collapse_to_one_of_k_is_log_k() -> None:
    one = histogram_kl(torch.tensor([10**7, 0, 0, 0]), torch.full((4,), 10**6))
    assert one.value == pytest.approx(math.log(4), rel=1e-4)
    assert histogram_kl(torch.full((4,), 50), torch.full((4,), 1000)).value == pytest.approx(0.0, abs=1e-12)


def test_absent_classes_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The highest class is never predicted: the histogram still has K bins, and batches add up."""
    monkeypatch.setattr(class_histogram_kl, "PER_CLASS", 1)
    metric = ClassHistogramKL()
    metric.update(torch.tensor([0, 1, 2]), torch.tensor([0, 0]), SPEC)
    metric.update(torch.tensor([2, 1, 0]), torch.tensor([1, 0]), SPEC)
    value = metric.compute()
    assert value == pytest.approx(histogram_kl(torch.tensor([3, 1, 0, 0]), torch.tensor([2, 2, 2, 0])).value, rel=1e-12)
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


@pytest.mark.parametrize(
    "weights, least, most", [((1, 1, 1, 1), 0.95, 1.42), ((4, 3, 2, 1), 0.85, 1.15), ((9, 1, 0, 0), 0.85, 1.15)]
)
def test_standard_error_is_the_spread_of_repeated_draws(weights: tuple, least: float, most: float) -> None:
    """At equal histograms the linear part is noise, and it is bounded from below: up to the square root of 2 too large."""
    generator, uniform = torch.Generator().manual_seed(0), torch.ones(4)

    def counts(of: torch.Tensor, n: int) -> torch.Tensor:
        return torch.bincount(torch.multinomial(of, n, replacement=True, generator=generator), minlength=4)

    estimates = [histogram_kl(counts(torch.tensor(weights).float(), 600), counts(uniform, 400)) for _ in range(500)]
    values, errors = torch.tensor(estimates, dtype=torch.float64).T
    assert least < errors.square().mean().sqrt() / values.std() < most


def test_one_class_and_few_examples_are_refused() -> None:
    """With one class every model, noise too, would score 0."""
    classes = torch.zeros(100, dtype=torch.long)
    with pytest.raises(Unavailable, match="only one class"):
        ClassHistogramKL().update(classes, classes, DataSpec((1, 8, 8), 17, 1))
    metric = ClassHistogramKL()
    metric.update(classes[:19], classes, SPEC)
    with pytest.raises(Unavailable, match="needs 20 of both, 5 for each of 4 classes; there are 19"):
        metric.compute()


def test_real_examples_in_place_of_samples() -> None:
    metric, classes = ClassHistogramKL(), torch.arange(4).repeat(10)
    metric.update(classes, torch.zeros(40, dtype=torch.long), SPEC, Fresh(classes, "val"))
    metric.compute()
    assert (metric.record()["real"], metric.record()["real_from"]) == (pytest.approx(0.0, abs=1e-12), "val")
