"""Scores against formulas: of points, of exact posterior draws, column by column."""

import math

import pytest
import torch

from genarena.tasks.imputing import scores
from genarena.tasks.imputing.completed import Completed


def test_a_point_is_scored_by_its_errors() -> None:
    truth, fill = torch.zeros(3, 2), torch.tensor([[1.0, 5.0], [3.0, -2.0], [9.0, 4.0]])
    hidden = torch.tensor([[True, False], [True, True], [False, True]])
    found = scores.of(Completed(fill.where(hidden, truth), None, 1, 2.0), truth, hidden)
    values = {name: record["value"] for name, record in found.items()}
    assert values["mae"] == values["crps"] == pytest.approx((2.0 + 3.0) / 2)
    assert values["rmse"] == values["rmse_draw"] == pytest.approx((math.sqrt(5) + math.sqrt(10)) / 2)
    assert values["rmse_pooled"] == pytest.approx(math.sqrt(30 / 4))
    assert values["energy_score"] == pytest.approx((1 + math.sqrt(13 / 2) + 4) / 3)
    assert "coverage" not in values and found["mae"]["failures"] == 1 and found["mae"]["columns"] == 2


def test_draws_of_the_truth_are_calibrated() -> None:
    """Of N(0, 1): CRPS 1 / sqrt(pi); RMSE of one draw sqrt(2), of the mean of K sqrt(1 + 1/K)."""
    x = torch.randn(11, 4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws, truth = x[:10], x[10]
    hidden = torch.rand(4000, 3, generator=torch.Generator().manual_seed(1)) < 0.7
    draws = torch.where(hidden, draws, truth)
    found = scores.of(Completed(draws.mean(0), draws, 0, 1.0), truth, hidden)
    expected = {
        "crps": 1 / math.sqrt(math.pi),
        "rmse": math.sqrt(1.1),
        "rmse_draw": math.sqrt(2),
        "coverage": 0.9,
        "spread_skill": 1.0,
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=0.02)
    assert abs(found["crps"]["value"] - expected["crps"]) < 2 * found["crps"]["ci95_half_width"]
    assert found["sliced_w2"]["value"] < 0.06 and found["energy_distance"]["value"] < 0.005


def test_the_standard_error_is_the_spread_over_tables() -> None:
    generator = torch.Generator().manual_seed(0)
    values, errors = {"rmse": [], "mae": []}, {"rmse": [], "mae": []}
    for _ in range(300):
        error = torch.randn(40, 3, generator=generator, dtype=torch.float64)
        hidden = torch.rand(40, 3, generator=generator) < 0.6
        for name, each, root in (("rmse", error.square(), True), ("mae", error.abs(), False)):
            record = scores.by_column(name, each, hidden, root)
            values[name].append(record["value"])
            errors[name].append(record["standard_error"])
    for name in values:
        assert torch.tensor(errors[name]).mean().item() == pytest.approx(
            torch.tensor(values[name]).std().item(), rel=0.12
        )
