"""Effective rank, alignment and uniformity by their definitions."""

import math

import pytest
import torch
import torch.nn.functional as F

from genarena.statistics.code_geometry import Components, Scaling, alignment, uniformity


def test_scaling_leaves_zero_mean_and_unit_variance_and_silences_constants() -> None:
    z = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 50.0, 0.0]) + 7.0
    scaled = Scaling.of(z)(z)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]))


@pytest.mark.parametrize(
    ("singular", "rank"), [((1.0, 1.0, 1.0, 1.0), 4.0), ((1.0, 0.0, 0.0, 0.0), 1.0), ((3.0, 1.0, 0.0, 0.0), None)]
)
def test_effective_rank_is_the_exponential_of_the_entropy_of_singular_values(
    singular: tuple, rank: float | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(64, 5, generator=generator, dtype=torch.float64)
    columns[:, 0] = 1.0  # the mean is taken out
    basis = torch.linalg.qr(columns).Q[:, 1:]
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    z = basis @ torch.diag(torch.tensor(singular, dtype=torch.float64)) @ rotation + 3.0
    expected = rank or math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert Components.of(z, 2).effective_rank == pytest.approx(expected, rel=1e-5)


def test_components_keep_the_largest_variances() -> None:
    z = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 0.2]) + 2.0
    found = Components.of(z, 2)
    assert found.basis.abs().argmax(0).tolist() == [1, 0]
    torch.testing.assert_close(found(z).var(0, correction=0).double(), found.variances[:2], rtol=1e-4, atol=0)


def test_alignment_and_uniformity_are_means_over_all_pairs() -> None:
    generator = torch.Generator().manual_seed(1)
    z, y = torch.randn(30, 4, generator=generator), torch.randint(3, (30,), generator=generator)
    units = F.normalize(z.double(), dim=1)
    apart = torch.cdist(units, units).square()
    pairs = ~torch.eye(30, dtype=torch.bool)
    same = pairs & (y[:, None] == y)
    assert alignment(z, y) == pytest.approx(apart[same].mean().item(), rel=1e-9)
    assert uniformity(z) == pytest.approx((-2.0 * apart[pairs]).exp().mean().log().item(), rel=1e-5)
    assert alignment(torch.eye(4)[y], y) == pytest.approx(0.0, abs=1e-12)
