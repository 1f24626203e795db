"""The extrapolation on Gaussians whose distance is known, its standard error, and the blocks that it is made of."""

import pytest
import torch

from genarena.metrics import fid_infinity
from genarena.metrics.base import Fresh, Unavailable
from genarena.metrics.fid_infinity import FIDInfinity, distances, extrapolated, fitted_to_halves
from genarena.statistics.frechet import estimated, frechet_distance, gaussian_statistics


def drawn(n: int, dims: int, generator: torch.Generator, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return scale * torch.randn(n, dims, generator=generator, dtype=torch.float64) + shift


def distance(real: torch.Tensor, fake: torch.Tensor) -> float:
    return frechet_distance(*gaussian_statistics(real), *gaussian_statistics(fake))


@pytest.mark.parametrize(
    "real, fake, scale, shift",
    [(300, 300, 1.0, 0.0), (300, 900, 1.0, 0.0), (200, 200, 1.0, 0.4), (200, 600, 0.8, 0.0)],
)
def test_both_biases_are_gone_and_the_error_is_right(real: int, fake: int, scale: float, shift: float) -> None:
    """16 features; d^2 = 16 (shift^2 + (1 - scale)^2). FID_N is far above it, however many samples there are."""
    generator, exact = torch.Generator().manual_seed(0), 16 * (shift**2 + (1.0 - scale) ** 2)
    plain, values, errors = [], [], []
    for _ in range(150):
        ours, theirs = drawn(real, 16, generator), drawn(fake, 16, generator, scale, shift)
        _, found = distances(ours, theirs)
        plain.append(found[1] - exact)
        values.append(extrapolated(found) - exact)
        errors.append(estimated(ours, theirs).standard_error)
    plain, values, errors = (torch.tensor(each) for each in (plain, values, errors))
    assert plain.mean() > 5.0 * abs(values.mean())
    assert abs(values.mean()) < 4.0 * values.std() / 150**0.5 + 0.02 * plain.mean()
    assert 0.85 < errors.square().mean().sqrt() / values.std() < 1.25
    assert (values.abs() < 2.0 * errors).double().mean() > 0.9


def test_blocks_are_disjoint_and_pairs_are_their_unions() -> None:
    rows = drawn(105, 3, torch.Generator().manual_seed(0), shift=500.0)
    halves, pairs = fitted_to_halves(rows, 25)
    assert (len(halves), len(pairs)) == (4, 2)
    for found, part in [(halves[1], rows[25:50]), (pairs[0], rows[:50]), (pairs[1], rows[50:100])]:
        mean, cov = gaussian_statistics(part)
        assert found.mean == pytest.approx(mean, rel=1e-12)
        assert found.cov == pytest.approx(cov, rel=1e-8, abs=1e-9)


def test_the_value_and_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fid_infinity, "SMALLEST", 30)
    generator = torch.Generator().manual_seed(0)
    real, fake = drawn(150, 6, generator), drawn(450, 6, generator, shift=0.2)
    by_content = fake[:, 0].argsort()
    metric = FIDInfinity()
    metric.update(real, fake, by_content, Fresh(drawn(450, 6, generator), "train"))
    value, record = metric.compute(), metric.record()
    ordered = fake[by_content]
    wholes = [distance(real, part) for part in ordered.split(150)]
    assert (record["sizes"], record["n"], record["n_real"]) == ([75, 150], 450, 150)
    assert record["fid"][1] == pytest.approx(sum(wholes) / 3, rel=1e-9)
    assert value == pytest.approx(2.0 * record["fid"][1] - record["fid"][0])
    assert record["standard_error"] == pytest.approx(estimated(real, fake).standard_error, rel=1e-6)
    assert abs(record["real"]) < 5.0 * record["standard_error"]
    shuffled = fake[torch.randperm(450, generator=generator)]
    again = FIDInfinity()
    again.update(real, shuffled, shuffled[:, 0].argsort())
    assert again.compute() == pytest.approx(value, rel=1e-9)
    few = FIDInfinity()
    few.update(real[:59], fake, by_content)
    with pytest.raises(Unavailable, match="needs 60 examples of each kind"):
        few.compute()


def test_a_test_split_that_is_sorted_is_mixed() -> None:
    """Two classes far apart, one after the other: unmixed halves would each hold one class."""
    generator = torch.Generator().manual_seed(0)
    real = torch.cat([drawn(200, 2, generator), drawn(200, 2, generator, shift=9.0)])
    fake = real[torch.randperm(400, generator=generator)] + 0.01
    metric = FIDInfinity()
    metric.update(real, fake, torch.arange(400))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fid_infinity, "SMALLEST", 30)
        assert abs(metric.compute()) < 2.0
