"""Frechet distance against closed forms, scipy's matrix square root and torch-fidelity."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from genarena.statistics.frechet import Moments, estimated, fit, frechet_distance, gaussian_statistics, mean_estimated


def features(n: int, dims: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dims, dims, generator=generator, dtype=torch.float64)
    return torch.randn(n, dims, generator=generator, dtype=torch.float64) @ mixing + shift


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return frechet_distance(*gaussian_statistics(a), *gaussian_statistics(b))


def test_closed_form_of_diagonal_gaussians() -> None:
    """Commuting covariances: |m1 - m2|^2 + sum (s1 - s2)^2."""
    m1, m2, s1, s2 = np.array([1.0, -2.0]), np.array([0.0, 2.0]), np.array([1.0, 3.0]), np.array([2.0, 0.5])
    value = frechet_distance(m1, np.diag(s1**2), m2, np.diag(s2**2))
    assert value == pytest.approx(1.0 + 16.0 + 1.0 + 6.25, rel=1e-12)


def test_statistics_are_unbiased() -> None:
    mean, cov = gaussian_statistics(torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
    assert mean == pytest.approx(np.array([1.0, 3.0]))
    assert cov == pytest.approx(np.array([[2.0, 4.0], [4.0, 8.0]]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_scipy_and_torch_fidelity(seed: int) -> None:
    a, b = features(400, 24, seed), features(300, 24, seed + 10, shift=0.3)
    (m1, s1), (m2, s2) = gaussian_statistics(a), gaussian_statistics(b)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    expected = (m1 - m2) @ (m1 - m2) + np.trace(s1 + s2 - 2.0 * root)
    assert distance(a, b) == pytest.approx(expected, rel=1e-8)
    theirs = fid_statistics_to_metric(fid_features_to_statistics(a), fid_features_to_statistics(b), verbose=False)
    assert distance(a, b) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


def test_float32_features_use_float64_statistics() -> None:
    """A common offset of 1,000 must not eat the digits that matter."""
    a, b = features(500, 8, 0), features(500, 8, 1)
    offset = distance((a + 1000.0).float(), (b + 1000.0).float())
    assert offset == pytest.approx(distance(a, b), rel=1e-4)


@pytest.mark.parametrize("n", [300, 10])
def test_zero_for_equal_sets_and_symmetric(n: int) -> None:
    """n=10 rows of 16 features have a singular covariance: the eigenvectors take over from Cholesky."""
    a, b = features(n, 16, 0), features(n, 16, 1)
    scale = np.trace(gaussian_statistics(a)[1])
    assert distance(a, a) < 1e-6 * scale
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-6)


def test_singular_closed_form() -> None:
    """A feature that never varies, as a dead unit gives: only the others count."""
    a, b = features(200, 3, 0), features(200, 3, 1)
    dead = torch.zeros(200, 1, dtype=torch.float64)
    assert distance(torch.cat([a, dead], 1), torch.cat([b, dead], 1)) == pytest.approx(distance(a, b), rel=1e-6)


def test_moments_of_parts_add_up_and_match_numpy() -> None:
    rows = features(300, 5, 0, shift=1000.0)
    first = Moments.of(rows[:130])
    whole = (first + Moments.of(rows[130:], first.shift)).gaussian
    assert whole.mean == pytest.approx(rows.numpy().mean(axis=0), rel=1e-12)
    assert whole.cov == pytest.approx(np.cov(rows.numpy(), rowvar=False), rel=1e-9, abs=1e-9)
    with pytest.raises(ValueError, match="different points"):
        first + Moments.of(rows[130:])


def drawn(n: int, dims: int, scale: float, shift: float, generator: torch.Generator) -> torch.Tensor:
    return scale * torch.randn(n, dims, generator=generator, dtype=torch.float64) + shift


@pytest.mark.parametrize(
    "dims, shift, scale, least, most",
    [
        (4, 0.5, 1.0, 0.85, 1.15),
        (4, 0.0, 1.5, 0.85, 1.15),
        (16, 0.5, 0.7, 0.85, 1.15),
        (8, 0.0, 1.0, 1.0, 1.65),  # equal distributions: about the square root of 2
    ],
)
def test_standard_error_is_the_spread_of_repeated_draws(
    dims: int, shift: float, scale: float, least: float, most: float
) -> None:
    generator, estimates = torch.Generator().manual_seed(0), []
    for _ in range(300):
        one = drawn(400, dims, 1.0, 0.0, generator)
        estimates.append(estimated(one, drawn(250, dims, scale, shift, generator)))
    values, errors = torch.tensor(estimates, dtype=torch.float64).T
    assert least < errors.square().mean().sqrt() / values.std() < most  # the spread of 300 draws is known to 4%


def test_standard_error_equals_a_bootstrap_of_heavy_tails() -> None:
    """One pair of sets, correlated and with heavy tails: the spread over resamples of their rows."""
    generator = torch.Generator().manual_seed(3)
    one, two = features(1_000, 3, 1) ** 3 / 3.0, features(800, 3, 2, shift=1.0)
    resampled = [
        distance(*(rows[torch.randint(len(rows), (len(rows),), generator=generator)] for rows in (one, two)))
        for _ in range(400)
    ]
    found = estimated(one, two)
    assert found.value == pytest.approx(distance(one, two), rel=1e-12)
    assert found.standard_error == pytest.approx(np.std(resampled), rel=0.12)
    assert estimated(two, one) == pytest.approx(found, rel=1e-9)


def test_standard_error_of_singular_covariances() -> None:
    """A dead feature adds nothing; one that is dead on one side only, and a copied one, give a finite error."""
    a, b = features(300, 3, 0), features(300, 3, 1)
    dead = torch.zeros(300, 1, dtype=torch.float64)
    whole = estimated(a, b)
    assert estimated(torch.cat([a, dead], 1), torch.cat([b, dead], 1)) == pytest.approx(whole, rel=1e-6)
    noise = torch.randn(300, 1, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for one, two in ((dead, noise), (noise, dead), (a[:, :1], b[:, :1])):
        found = estimated(torch.cat([a, one], 1), torch.cat([b, two], 1))
        assert whole.standard_error * 0.5 < found.standard_error < whole.standard_error * 2.0
    # Against a constant the distance is mean^2 + variance, the mean of the squares but for n - 1.
    alone = estimated(dead, noise)
    assert alone.value == pytest.approx(noise.var().item() + noise.mean().item() ** 2, rel=1e-9)
    assert alone.standard_error == pytest.approx(noise.square().std().item() / 300**0.5, rel=1e-9)


def test_the_mean_over_networks_and_its_error_by_repeated_draws() -> None:
    """Two networks whose features are correlated: the errors of their distances must not be joined as if they were not."""
    generator, estimates = torch.Generator().manual_seed(0), []
    for _ in range(300):
        one, two = drawn(400, 3, 1.0, 0.0, generator), drawn(250, 3, 1.0, 0.6, generator)
        sides = [torch.cat([rows, 2.0 * rows], 1) for rows in (one, two)]
        found, of_each = mean_estimated(*sides, [fit(part) for part in sides[0].chunk(2, 1)])
        assert of_each[1] == pytest.approx(4.0 * of_each[0], rel=1e-9)
        assert found.value == pytest.approx(sum(of_each) / 2.0, rel=1e-12)
        estimates.append(found)
    values, errors = torch.tensor(estimates, dtype=torch.float64).T
    assert 0.85 < errors.mean() / values.std() < 1.15
