"""The Vendi score against the definition on the full kernel matrix, and on sets whose effective number is known."""

import pytest
import torch

from genarena.metrics import vendi
from genarena.metrics.base import Fresh, Unavailable
from genarena.metrics.vendi import Vendi, vendi_estimate, vendi_score
from genarena.spec import DataSpec

IMAGES = DataSpec((1, 4, 4), 16, 2)


def test_orthogonal_directions_are_counted() -> None:
    directions = torch.eye(8, dtype=torch.float64)[:5] * torch.arange(1.0, 6.0)[:, None]  # lengths do not matter
    assert vendi_score(directions.repeat(6, 1)) == pytest.approx(5.0, rel=1e-12)
    assert vendi_score(directions[:1].repeat(30, 1)) == pytest.approx(1.0, rel=1e-12)
    uneven = torch.cat([directions[:1].repeat(3, 1), directions[1:2]])  # exp of the entropy of (3/4, 1/4)
    assert vendi_score(uneven) == pytest.approx(4.0 / 3.0**0.75, rel=1e-12)


def test_equals_the_definition_on_the_kernel_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendi, "ROWS", 7)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 12, generator=generator, dtype=torch.float64) + 0.5
    kernel = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=2)
    eigenvalues = torch.linalg.eigvalsh(kernel / 40).clamp_min(1e-300)
    expected = (-(eigenvalues * eigenvalues.log()).sum()).exp().item()
    assert vendi_score(rows) == pytest.approx(expected, rel=1e-9)
    assert vendi_score(rows.float()) == pytest.approx(expected, rel=1e-5)
    assert vendi_score(rows.flip(0)) == pytest.approx(expected, rel=1e-9)


def test_standard_error_is_the_spread_of_repeated_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    spreads = torch.tensor([1.0, 0.7, 0.5, 0.3, 0.1])
    draws = [spreads * torch.randn(200, 5, generator=generator) + 0.2 for _ in range(300)]
    values, errors = torch.tensor([vendi_estimate(rows) for rows in draws], dtype=torch.float64).T
    assert values[0].item() == pytest.approx(vendi_score(draws[0]), rel=1e-9)
    assert errors.square().mean().sqrt() / values.std() == pytest.approx(1.0, abs=0.15)


def test_standard_error_of_copies_and_of_dead_features() -> None:
    rows = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    assert vendi_estimate(rows[:1].repeat(60, 1)).standard_error == pytest.approx(0.0, abs=1e-6)
    dead = torch.cat([rows, torch.zeros(60, 2)], 1)
    assert vendi_estimate(dead) == pytest.approx(vendi_estimate(rows), rel=1e-9)


def test_record_and_refusals() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(50, 6, generator=generator), torch.randn(1, 6, generator=generator).repeat(30, 1)
    metric = Vendi()
    metric.update(fake, IMAGES, Fresh(real, "train"))
    assert metric.compute() == pytest.approx(1.0, abs=1e-6)
    record = metric.record()
    assert record["real"] == pytest.approx(vendi_score(real))
    assert (record["n"], record["kernel"], record["real_from"]) == (30, "cosine", "train")
    assert Vendi.towards_real
    with pytest.raises(Unavailable, match="says nothing about vectors"):
        Vendi().update(fake, DataSpec((6,)))
    dead = fake.index_fill(0, torch.tensor([2]), 0.0)
    metric = Vendi()
    metric.update(dead, IMAGES)
    with pytest.raises(Unavailable, match="all zeros"):
        metric.compute()
    metric = Vendi()
    metric.update(fake, IMAGES, Fresh(dead, "train"))
    metric.compute()
    assert metric.record()["real"] is None
    assert "all zeros" in metric.record()["real_reason"]
