"""Energy distance, classifier two-sample test and divergence from the truth: on Gaussians, and through an evaluation."""

import math
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from genarena.data.digits import Digits
from genarena.data.toy2d import DENSITIES, Toy2D
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import Likelihood
from genarena.metrics import c2st
from genarena.metrics.base import Fresh, Unavailable
from genarena.metrics.c2st import ClassifierTwoSampleTest, held_out_accuracy
from genarena.metrics.energy_distance import EnergyDistance
from genarena.models.base import GenerativeModel
from genarena.spec import Batch, DataSpec

NAMES = ["energy_distance", "c2st", "kl_to_truth_nats"]
SETTINGS = EvaluationSettings()
SIZES = {"evidence.samples.num_samples": 500, "evidence.examples.num_test": 600}


class Normal(GenerativeModel):
    """N(0, std^2 I) in two dimensions, with its exact density."""

    family = "baseline"
    likelihood = Likelihood.EXACT
    paper = ""
    std = 1.5

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.std * torch.randn(num_samples, 2)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return -0.5 * (x.double() / self.std).square().sum(1) - math.log(2.0 * math.pi * self.std**2)


class Truth(Normal):
    """The density of the data itself; its samples are fresh draws."""

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        fresh = Toy2D(self.spec, distribution="eight_gaussians").load()[0].x
        return fresh[torch.randint(len(fresh), (num_samples,))]

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return DENSITIES["eight_gaussians"](x)


@pytest.fixture(scope="module")
def records() -> dict[str, dict]:
    data = Toy2D(DataSpec((2,)), distribution="eight_gaussians", num_train=2_000)
    data.setup()
    return {
        kind.__name__: evaluate(kind(data.spec).eval(), data, NAMES, SETTINGS, SIZES, progress=False).metrics
        for kind in (Normal, Truth)
    }


def test_divergence_has_the_closed_form(records: dict) -> None:
    """Eight Gaussians of spread 0.15 at radius 2, apart enough that the entropy is theirs plus log 8. The cross-entropy with
    N(0, s^2 I) is log(2 pi s^2) + E|x|^2 / (2 s^2)."""
    entropy = math.log(8.0) + math.log(2.0 * math.pi * math.e * 0.15**2)
    cross = math.log(2.0 * math.pi * Normal.std**2) + (4.0 + 2.0 * 0.15**2) / (2.0 * Normal.std**2)
    record = records["Normal"]["kl_to_truth_nats"]
    assert record["value"] == pytest.approx(cross - entropy, abs=4.0 * record["standard_error"])
    assert 0.0 < record["standard_error"] < 0.1
    assert (record["sign"], record["n"]) == ("=", 600)
    assert records["Truth"]["kl_to_truth_nats"]["value"] == pytest.approx(0.0, abs=1e-12)


def test_the_truth_is_told_from_a_gaussian(records: dict) -> None:
    energy, told = ({kind: records[kind][name] for kind in records} for name in ("energy_distance", "c2st"))
    assert energy["Normal"]["value"] > 5.0 * energy["Normal"]["standard_error"]
    assert abs(energy["Truth"]["value"]) < 4.0 * energy["Truth"]["standard_error"]
    assert told["Normal"]["value"] > 0.8
    assert abs(told["Truth"]["value"] - 0.5) < 4.0 * told["Truth"]["standard_error"]
    assert told["Normal"]["towards_real"]
    for record in (*energy.values(), *told.values()):
        assert abs(record["real"] - (0.5 if record["title"] == "C2ST" else 0.0)) < 0.08
        assert record["real_from"] == "train"
        assert (record["n"], record["n_real"], record["split"]) == (500, 600, "test, 600 at random")


def test_images_have_none_for_a_short_reason() -> None:
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    model = Normal(data.spec).eval()
    found = evaluate(model, data, NAMES[:2], SETTINGS, SIZES, progress=False).metrics
    assert {record["reason"] for record in found.values()} == {"it is for vectors, and digits is images"}
    found = evaluate(model, data, NAMES[2:], SETTINGS, SIZES, progress=False).metrics
    assert found["kl_to_truth_nats"]["reason"] == "the density that digits was drawn from is not known"


def normal(n: int, dims: int, seed: int, shift: float = 0.0) -> Tensor:
    x = torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[:, 0] += shift
    return x


def test_energy_distance_of_shifted_gaussians_has_the_closed_form() -> None:
    """Differences are N(m, 2): E|x - y| = 2 / sqrt(pi) exp(-m^2 / 4) + m (2 Phi(m / sqrt(2)) - 1)."""
    metric, m = EnergyDistance(), 1.0
    metric.update(normal(3_000, 1, 0), normal(2_000, 1, 1, shift=m), Fresh(normal(2_000, 1, 2), "train"))
    value, record = metric.compute(), metric.record()
    across = 2.0 / math.sqrt(math.pi) * math.exp(-(m**2) / 4.0) + m * (2.0 * NormalDist().cdf(m / math.sqrt(2.0)) - 1.0)
    exact = 2.0 * across - 4.0 / math.sqrt(math.pi)
    assert value == pytest.approx(exact, abs=4.0 * record["standard_error"])
    assert record["standard_error"] < 0.1 * exact
    assert abs(record["real"]) < 0.1 * exact


def test_classifier_reaches_the_best_possible_accuracy_and_no_more() -> None:
    """Gaussians a distance m apart: no classifier is right more often than Phi(m / 2)."""
    best = NormalDist().cdf(0.75)
    found = held_out_accuracy(normal(1_500, 3, 0).numpy(), normal(1_500, 3, 1, shift=1.5).numpy())
    error = (best * (1.0 - best) / 3_000) ** 0.5
    assert best - 0.03 < found < best + 3.0 * error


def test_standard_error_of_the_accuracy_is_the_spread_of_repeated_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c2st, "TREES", 15)
    found = []
    for seed in range(50):
        metric = ClassifierTwoSampleTest()
        metric.update(normal(60, 2, seed), normal(60, 2, 1_000 + seed))
        found.append((metric.compute(), metric.record()["standard_error"]))
    values, errors = torch.tensor(found).T
    assert abs(values.mean() - 0.5) < 4.0 * values.std() / 50**0.5
    assert 0.75 < errors.mean() / values.std() < 1.35  # the spread of 50 draws is known to 10%


def test_neither_order_nor_unequal_counts_matter() -> None:
    real, fake = normal(300, 2, 0), normal(200, 2, 1, shift=0.8)
    metric = ClassifierTwoSampleTest()
    metric.update(real, fake)
    value, record = metric.compute(), metric.record()
    assert (record["n_each"], record["n"], record["n_real"]) == (200, 200, 300)
    again = ClassifierTwoSampleTest()
    again.update(real.flip(0), fake[torch.randperm(200)])
    assert again.compute() == value
    few = ClassifierTwoSampleTest()
    few.update(real[:9], fake)
    with pytest.raises(Unavailable, match="needs 10 examples"):
        few.compute()
