"""The two covariances of `dip_vae`: nothing to pay if and only if they are I."""

import pytest
import torch

from genarena.models.vae.diagonal_normal import Gaussian
from genarena.models.vae.dip_vae import DIPVAE, covariance, deviations
from genarena.spec import Batch
from tests.models.disentangling import given, same_as_vae


def whitened(num: int = 40, dims: int = 3) -> torch.Tensor:
    """Rows whose covariance, divided by their number, is exactly I."""
    x = torch.randn(num, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / num)).T


def test_covariances_are_those_of_means_and_of_codes() -> None:
    posterior = Gaussian(torch.randn(30, 3), torch.randn(30, 3))
    of_means = torch.cov(posterior.mean.T, correction=0)
    torch.testing.assert_close(covariance(posterior, "i"), of_means)
    torch.testing.assert_close(covariance(posterior, "ii"), of_means + posterior.log_var.exp().mean(0).diag())


@pytest.mark.parametrize(("variant", "share"), [("i", 1.0), ("ii", 0.36)])
def test_both_terms_vanish_if_and_only_if_the_covariance_is_the_identity(variant: str, share: float) -> None:
    """With variances 1 - 0.36 the second kind asks for means of covariance 0.36 I."""
    log_var = torch.full((40, 3), 1.0 - 0.36, dtype=torch.float64).log()
    exact = Gaussian(whitened() * share**0.5, log_var)
    off, own = deviations(covariance(exact, variant))
    assert max(off.abs(), own) < 1e-12
    tilted = exact.mean.clone()
    tilted[:, 1] = 0.8 * tilted[:, 1] + 0.6 * tilted[:, 0]  # the same variances, a covariance of 0.6
    off, own = deviations(covariance(Gaussian(tilted, log_var), variant))
    assert off.item() == pytest.approx(2 * (0.6 * share) ** 2) and own < 1e-12
    off, own = deviations(covariance(Gaussian(1.1 * exact.mean, log_var), variant))
    assert own.item() == pytest.approx(3 * (0.21 * share) ** 2) and off.abs() < 1e-12


def test_without_weights_it_is_vae_bitwise() -> None:
    assert same_as_vae(DIPVAE, off_diagonal=0.0, diagonal=0.0)
    assert not same_as_vae(DIPVAE, off_diagonal=1.0, diagonal=0.0)


@torch.no_grad()
def test_the_loss_by_hand() -> None:
    """Means (1, 1) and (-1, -1), variances 1: C is all ones for the means, with 2 on the diagonal for the codes."""
    batch = Batch(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    for variant, own in (("i", 0.0), ("ii", 2.0)):
        terms = given(DIPVAE, variant=variant, off_diagonal=3.0, diagonal=5.0, warmup=0.0).loss(batch)
        more = (terms["loss"] - terms["reconstruction"] - terms["kl"]).item()
        assert more == pytest.approx(3.0 * 2.0 + 5.0 * own, rel=1e-5)
        assert terms["kl"].item() == pytest.approx(1.0)
