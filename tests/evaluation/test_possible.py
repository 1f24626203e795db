"""A likelihood that no model can have is no number: in a wrong space, in a wrong unit, or of no distribution at all."""

import math

import pytest
import torch
from torch import Tensor

from genarena.build import build
from genarena.config import compose
from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.possible import refuse_impossible
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable
from genarena.models.baseline.uniform import Uniform

METRICS = ["bits_per_dim", "nll_nats"]
ALL = {"evidence.samples.num_samples": 10}


class Shifted(Uniform):
    """The uniform model with so many nats too many."""

    too_many = 0.0

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return super().log_prob(x, y, num_samples) + self.too_many


def module(name: str, *options: str) -> ArenaDataModule:
    data = build(compose(["model=uniform", f"data={name}", *options])["data"], "data")
    data.setup()
    return data


@pytest.fixture(scope="module")
def digits() -> ArenaDataModule:
    return module("digits")


@pytest.mark.parametrize(
    ("too_many", "added_up"),
    [
        (64 * math.log(17), "e^5.886"),  # a density of pixels in [0, 1]: 0 nats, 360 times
        (64 * math.log(17) - 5.0, "e^0.8861"),  # every P(x) below 1, and together more
        (1000.0, "e^824.6"),
    ],
)
def test_probabilities_of_test_examples_add_up_to_one_at_most(
    digits: ArenaDataModule, too_many: float, added_up: str
) -> None:
    model = Shifted(digits.spec).eval()
    model.too_many = too_many
    for record in evaluate(model, digits, METRICS, EvaluationSettings(), ALL, progress=False).metrics.values():
        assert record["value"] is None
        assert f"those of 360 different test examples add up to {added_up}, and 1" in record["reason"]


@pytest.mark.parametrize("too_many", [0.0, 64 * math.log(17) - 5.9])
def test_up_to_one_they_are_a_likelihood(digits: ArenaDataModule, too_many: float) -> None:
    model = Shifted(digits.spec).eval()
    model.too_many = too_many
    records = evaluate(model, digits, METRICS, EvaluationSettings(), ALL, progress=False).metrics
    assert records["nll_nats"]["value"] == pytest.approx(64 * math.log(17) - too_many, abs=1e-4)  # float32


def test_equal_examples_count_once_and_a_random_bound_may_exceed_one_by_chance(digits: ArenaDataModule) -> None:
    same = Split(digits.test.x[:1].expand(100, -1, -1, -1), digits.test.y[:1].expand(100))
    values = torch.full((100,), -0.01, dtype=torch.float64)
    refuse_impossible(values, same, digits, Likelihood.EXACT)
    refuse_impossible(values, digits.test[:100], digits, Likelihood.LOWER_BOUND)
    with pytest.raises(Unavailable, match="100 different test examples"):
        refuse_impossible(values, digits.test[:100], digits, Likelihood.EXACT)
    with pytest.raises(Unavailable, match="100 different test examples"):
        refuse_impossible(values + 10.0, digits.test[:100], digits, Likelihood.LOWER_BOUND)


def test_given_a_label_there_is_one_for_each_label() -> None:
    data = module("digits", "model=vae", "data.condition=label")
    split = data.test[:10]
    labels = len(split.y.unique())
    each = math.log(labels / 10)  # they add up to the number of labels
    refuse_impossible(torch.full((10,), each).double(), split, data, Likelihood.EXACT)
    with pytest.raises(Unavailable, match="add up to"):
        refuse_impossible(torch.full((10,), each + 0.2).double(), split, data, Likelihood.EXACT)


def test_no_density_is_better_than_the_true_one() -> None:
    data = module("toy2d")
    true = data.log_density(data.test.x)
    refuse_impossible(true, data.test, data, Likelihood.EXACT)
    refuse_impossible(true + 10.0 / len(true), data.test, data, Likelihood.EXACT)
    with pytest.raises(Unavailable, match=r"e\^20 times as likely"):
        refuse_impossible(true + 20.0 / len(true), data.test, data, Likelihood.EXACT)
