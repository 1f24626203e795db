"""The inception score on predictions whose score is known; agreement with torch-fidelity is in tests/test_torch_fidelity."""

import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from genarena.errors import ArenaError
from genarena.evaluation.asked import load_metric
from genarena.metrics.base import Unavailable
from genarena.metrics.inception_score import InceptionScore, split_scores
from genarena.statistics.rows import content_order


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InceptionScore, "min_samples", 20)


def measure(logits: torch.Tensor) -> tuple[float, dict]:
    metric = InceptionScore()
    metric.update(logits, torch.arange(len(logits)))
    return metric.compute(), metric.record()


def test_sure_of_k_classes_scores_k_and_unsure_scores_one() -> None:
    sure = 50.0 * torch.eye(7).repeat(10, 1)
    value, record = measure(sure)
    assert value == pytest.approx(7.0, rel=1e-9)
    zero = pytest.approx(0.0, abs=1e-9)
    assert record == {"n": 70, "splits": 10, "std": zero, "standard_error": zero}
    assert measure(torch.zeros(70, 7))[0] == pytest.approx(1.0, rel=1e-12)


def test_closed_form_of_two_predictions() -> None:
    """p = (a, 1 - a) and (1 - a, a) equally often: log IS = log 2 - H(a)."""
    a = torch.tensor(0.8, dtype=torch.float64)
    pair = torch.stack([torch.stack([a, 1 - a]), torch.stack([1 - a, a])]).log()
    entropy = -(a * a.log() + (1 - a) * (1 - a).log())
    assert split_scores(pair.repeat(20, 1)).tolist() == pytest.approx([2.0 * torch.exp(-entropy).item()] * 10)


def test_copies_are_spread_over_the_splits() -> None:
    """10,000 samples that are ten different images, each of a class of its own: every split has all ten classes."""
    images = torch.arange(10, dtype=torch.uint8).repeat(1000).view(-1, 1, 1, 1)
    logits = 50.0 * torch.eye(10)[images.flatten().long()]
    theirs = isc_features_to_metric(logits, splits=10, shuffle=True, rng_seed=0)["inception_score_mean"]
    value = split_scores(logits[content_order(images)]).mean().item()
    assert theirs == pytest.approx(9.95, abs=0.02)
    assert value == pytest.approx(theirs, abs=0.02)


def test_standard_error_is_the_spread_of_repeated_draws() -> None:
    generator, values, errors = torch.Generator().manual_seed(0), [], []
    for _ in range(300):
        value, record = measure(3.0 * torch.randn(400, 12, generator=generator))
        values.append(value)
        errors.append(record["standard_error"])
    spread, errors = torch.tensor(values).std(), torch.tensor(errors)
    assert errors.square().mean().sqrt() / spread == pytest.approx(1.0, abs=0.15)


def test_fewest_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_metric("inception_score").min_samples == 20
    monkeypatch.undo()
    assert load_metric("inception_score").min_samples == 5000
    with pytest.raises(Unavailable, match="at least 5,000 samples; there are 4,999"):
        measure(torch.zeros(4999, 3))
    with pytest.raises(ArenaError, match="1 of 20 rows is not finite, the first is row 4"):
        measure(torch.zeros(20, 3).index_fill(0, torch.tensor([4]), float("inf")))
