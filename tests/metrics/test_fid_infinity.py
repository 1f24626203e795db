"""The extrapolation on known lines and on Gaussians whose distance is known."""

import pytest
import torch

from genarena.metrics import fid_infinity
from genarena.metrics.base import Unavailable
from genarena.metrics.fid_infinity import FIDInfinity, distances_at, extrapolated, subset_sizes
from genarena.statistics.frechet import frechet_distance, gaussian_statistics


def test_a_line_is_extrapolated_exactly() -> None:
    sizes = [100, 300, 1000]
    assert extrapolated(sizes, [4.0 + 500.0 / size for size in sizes]) == pytest.approx((4.0, 500.0))


def test_sizes_are_those_of_the_paper_at_50000() -> None:
    sizes = subset_sizes(50_000)
    assert (sizes[0], sizes[-1], len(sizes)) == (5_000, 50_000, 15)
    assert subset_sizes(10_000)[0] == 2_049


def test_bias_of_small_sets_is_gone() -> None:
    """16 features, means 0.5 apart, unit covariances: the distance is 4. FID_N is biased up by a known c / N or so."""
    generator, bias, extrapolation = torch.Generator().manual_seed(0), [], []
    real = torch.randn(40_000, 16, generator=generator, dtype=torch.float64)
    exact = 16 * 0.5**2
    for _ in range(12):
        fake = torch.randn(1_500, 16, generator=generator, dtype=torch.float64) + 0.5
        sizes = [100, 200, 300, 500, 800, 1_100, 1_500]
        distances = distances_at(real, fake, sizes)
        bias.append(distances[0] - exact)
        extrapolation.append(extrapolated(sizes, distances)[0] - exact)
    bias, extrapolation = torch.tensor(bias), torch.tensor(extrapolation)
    assert bias.mean() > 0.5
    assert abs(extrapolation.mean()) < 4.0 * extrapolation.std() / 12**0.5 < 0.25


def test_the_largest_subset_is_everything_and_order_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIDInfinity, "min_examples", 100)
    monkeypatch.setattr(fid_infinity, "SMALLEST", 30)
    monkeypatch.setattr(fid_infinity, "FEWEST_SAMPLES", 200)
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(150, 6, generator=generator), torch.randn(200, 6, generator=generator) + 0.2
    by_content = fake[:, 0].argsort()
    metric = FIDInfinity()
    metric.update(real, fake, by_content)
    value, record = metric.compute(), metric.record()
    whole = frechet_distance(*gaussian_statistics(real), *gaussian_statistics(fake))
    assert record["fid"][-1] == pytest.approx(whole, rel=1e-9)
    assert (record["sizes"][0], record["sizes"][-1]) == (30, 200)
    assert value == pytest.approx(extrapolated(record["sizes"], record["fid"])[0])
    shuffled = fake[torch.randperm(200, generator=generator)]
    again = FIDInfinity()
    again.update(real, shuffled, shuffled[:, 0].argsort())
    assert again.compute() == pytest.approx(value, rel=1e-9)
    few = FIDInfinity()
    few.update(real, fake[:199], fake[:199, 0].argsort())
    with pytest.raises(Unavailable, match="at least 200 samples"):
        few.compute()
