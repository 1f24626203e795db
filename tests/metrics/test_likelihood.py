"""Likelihood metrics: units, kinds, standard errors, and numbers that are not finite."""

import math

import pytest
import torch

from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable
from genarena.metrics.bits_per_dim import BitsPerDim
from genarena.metrics.iw_nll_nats import ImportanceWeightedNLLNats
from genarena.metrics.nll_nats import NLLNats
from genarena.spec import DataSpec


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_uniform_scores_log2_of_the_levels(levels: int) -> None:
    spec = DataSpec((3, 5, 7), levels)
    metric = BitsPerDim()
    metric.update(torch.full((10,), -spec.num_dims * math.log(levels), dtype=torch.float64), spec, Likelihood.EXACT)
    assert metric.compute() == pytest.approx(math.log2(levels), rel=1e-12)
    record = metric.record()
    assert (record["n"], record["likelihood"], record["sign"]) == (10, "exact", "=")
    assert record["standard_error"] == pytest.approx(0.0, abs=1e-12)


def test_mean_and_standard_error_in_nats() -> None:
    values = torch.tensor([-1.0, -2.0, -6.0])
    metric = NLLNats()
    metric.update(values[:1], Likelihood.LOWER_BOUND)
    metric.update(values[1:], Likelihood.LOWER_BOUND)
    assert metric.compute() == 3.0
    assert metric.record() == {
        "n": 3,
        "standard_error": pytest.approx(math.sqrt(7.0 / 3.0)),
        "likelihood": "lower_bound",
        "sign": "<=",
    }


def test_an_error_that_all_examples_share_does_not_average_away() -> None:
    metric, bits = NLLNats(), BitsPerDim()
    metric.update(torch.tensor([-1.0, -2.0, -6.0]), Likelihood.ESTIMATE, 0.5)
    assert metric.record()["standard_error"] == pytest.approx(math.sqrt(7.0 / 3.0 + 0.25))
    bits.update(torch.full((4,), -3.0), DataSpec((1, 2, 3), 2), Likelihood.ESTIMATE, 0.5)
    assert bits.record()["standard_error"] == pytest.approx(0.5 / (6 * math.log(2.0)))


@pytest.mark.parametrize("broken", [float("nan"), float("-inf"), float("inf")])
def test_one_broken_example_takes_the_mean_away(broken: float) -> None:
    metric = ImportanceWeightedNLLNats()
    metric.update(torch.tensor([-1.0, broken, -3.0, broken]), Likelihood.LOWER_BOUND)
    with pytest.raises(Unavailable, match="2 of 4 test examples"):
        metric.compute()


def test_bits_are_for_integer_data() -> None:
    with pytest.raises(Unavailable, match="nll_nats"):
        BitsPerDim().update(torch.zeros(3), DataSpec((2,)), Likelihood.EXACT)
