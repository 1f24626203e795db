"""The inception score on predictions whose score is known; agreement with torch-fidelity is in tests/test_torch_fidelity."""

import pytest
import torch

from genarena.errors import ArenaError
from genarena.metrics.base import Unavailable
from genarena.metrics.inception_score import InceptionScore, split_scores


def measure(logits: torch.Tensor) -> tuple[float, dict]:
    metric = InceptionScore()
    metric.update(logits, torch.arange(len(logits)))
    return metric.compute(), metric.record()


def test_sure_of_k_classes_scores_k_and_unsure_scores_one() -> None:
    sure = 50.0 * torch.eye(7).repeat(10, 1)
    value, record = measure(sure)
    assert value == pytest.approx(7.0, rel=1e-9)
    assert record == {"n": 70, "splits": 10, "std": pytest.approx(0.0, abs=1e-9)}
    assert measure(torch.zeros(70, 7))[0] == pytest.approx(1.0, rel=1e-12)


def test_closed_form_of_two_predictions() -> None:
    """p = (a, 1 - a) and (1 - a, a) equally often: log IS = log 2 - H(a)."""
    a = torch.tensor(0.8, dtype=torch.float64)
    pair = torch.stack([torch.stack([a, 1 - a]), torch.stack([1 - a, a])]).log()
    entropy = -(a * a.log() + (1 - a) * (1 - a).log())
    assert split_scores(pair.repeat(20, 1)).tolist() == pytest.approx([2.0 * torch.exp(-entropy).item()] * 10)


def test_two_samples_for_each_split() -> None:
    with pytest.raises(Unavailable, match="at least 20 samples, two for each split; there are 19"):
        measure(torch.zeros(19, 3))
    with pytest.raises(ArenaError, match="1 of 20 rows are not finite, the first is row 4"):
        measure(torch.zeros(20, 3).index_fill(0, torch.tensor([4]), float("inf")))
