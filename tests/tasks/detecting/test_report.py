"""Records of scores: the sign, NaN as a mistake, the prevalence; pictures of few images."""

import math

import pytest
import torch

from genarena.spec import DataSpec
from genarena.tasks.detecting import pictures, report
from genarena.tasks.detecting.sets import Examples


def test_a_record_says_what_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    inside, outside = (d + torch.randn(4_000, generator=generator, dtype=torch.float64) for d in (0.0, 1.0))
    metrics = report.line(inside, outside).metrics
    assert list(metrics) == ["auroc", "aupr_out", "fpr_at_95_ood", "ood_kept_at_95_id"]
    assert metrics["auroc"]["value"] == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=0.015)  # Phi(1 / sqrt 2)
    assert metrics["auroc"]["interval"] == "DeLong" and metrics["aupr_out"]["prevalence"] == 0.5
    assert [record["higher_is_better"] for record in metrics.values()] == [True, True, False, False]
    assert all(0.0 < record["ci95_half_width"] < 0.05 and record["n"] == 8_000 for record in metrics.values())


def test_nan_is_a_mistake_on_both_sides() -> None:
    good, bad = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([10.0, 11.0, 12.0, 13.0])
    assert report.line(good, bad).metrics["auroc"]["value"] == 1.0
    broken = torch.tensor([math.nan, 1.0, 2.0, 3.0])
    of_inside, of_outside = report.line(broken, bad).metrics["auroc"], report.line(good, broken + 10).metrics["auroc"]
    assert (of_inside["value"], of_inside["failures"]) == (0.75, 1)
    assert (of_outside["value"], of_outside["failures"]) == (0.75, 1)
    assert report.line(good, torch.tensor([math.inf, 9.0])).metrics["auroc"]["value"] == 1.0


def test_rows_of_pictures_are_in_the_order_of_the_scores() -> None:
    spec = DataSpec((1, 2, 2), 256)
    x = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1).expand(12, 1, 2, 2).contiguous()
    score = torch.arange(12.0, dtype=torch.float64)
    shown = pictures.extremes((score, -score), Examples(x, spec), Examples(x, spec))
    assert shown[:, 0, 0, 0].view(4, 10).tolist() == [
        [*range(10)],
        [*range(11, 1, -1)],
        [*range(11, 1, -1)],
        [*range(10)],
    ]
    few = pictures.extremes((score[:3], score[:3]), Examples(x[:3], spec), Examples(x[:3], spec))
    assert len(few) == 40
    drawn = pictures.histograms({"a": (score, score + 1), "b": (score * math.inf, score)}, ("inside", "outside"))
    assert drawn.dtype == torch.uint8 and drawn.shape[:2] == (1, 3) and len(drawn.unique()) > 20
