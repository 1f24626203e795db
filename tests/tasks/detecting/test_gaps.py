"""What a score adds: complexity against codecs alone, other scores against all floors, a likelihood below one half."""

import math

import pytest
import torch
from torch import Tensor

from genarena.tasks.detecting import report
from genarena.tasks.detecting.gaps import compared


def pair(d: float, seed: int, num: int = 400) -> tuple[Tensor, Tensor]:
    """Two normals, d apart."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, generator=generator), d + torch.randn(num, generator=generator)


FLOORS = {
    "knn": pair(3.0, 1),
    "png length": pair(-2.0, 2),
    "png length, negative": pair(2.0, 2),
    "full gaussian - webp": pair(1.0, 3),
}


def remark(name: str, scores: tuple[Tensor, Tensor]) -> str:
    found = compared({name: report.line(*scores)}, {name: scores}, FLOORS)[name]
    assert found.metrics["fpr_at_95_ood"] == report.line(*scores).metrics["fpr_at_95_ood"]
    return found.remark


def test_complexity_adds_nothing_below_a_codec() -> None:
    found = report.line(*FLOORS["png length, negative"]).metrics["auroc"]["value"]
    expected = f"adds nothing: png length, negative has {found:.3f} without the model"
    assert remark("complexity", pair(1.9, 2)) == expected == remark("complexity", FLOORS["png length, negative"])
    assert remark("complexity", pair(2.2, 2)) == ""  # above the codecs; knn is none
    assert remark("typicality", pair(-1.0, 4)) == ""


def test_a_likelihood_below_one_half_fails() -> None:
    assert remark("nll", pair(-0.5, 4)).startswith("known failure: ")
    assert remark("nll", pair(0.5, 4)) == "" == remark("nll", pair(-0.001, 4, 100))  # not by more than its interval


def test_the_margin_is_over_the_best_on_the_same_examples() -> None:
    own = tuple(score[:50] for score in FLOORS["knn"])  # a score that costs a search sees the first examples
    found = compared({"regret": report.line(*own)}, {"regret": own}, FLOORS)["regret"].metrics["auroc"]["margin"]
    assert found == {"over": "knn", "value": 0.0, "ci95_half_width": 0.0}
    broken = own[0].clone()
    broken[:5] = math.nan  # mistakes
    found = report.gap((broken, own[1]), FLOORS["knn"])
    assert found.value == pytest.approx(-0.1, abs=0.02)
    assert compared({"kl": report.line(*own)}, {"kl": own}, {})["kl"] == report.line(*own)
