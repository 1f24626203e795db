"""The discriminator of `factor_vae` against a log ratio that is known, and who learns what."""

import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.vae.factor_vae import FactorVAE
from genarena.spec import Batch, DataSpec
from tests.models.disentangling import given, same_as_vae

RHO = 0.9
TRUTH = -0.5 * math.log(1.0 - RHO**2)  # total correlation of the codes, .8304 nats


class Quadratic(nn.Module):
    """D(z) = a (z_1^2 + z_2^2) / 2 + b z_1 z_2 + c, of which log q(z) / (q(z_1) q(z_2)) of a Gaussian is one."""

    truth = torch.tensor([-(RHO**2) / (1.0 - RHO**2), RHO / (1.0 - RHO**2), TRUTH])

    def __init__(self, weights: Tensor | None = None) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(3) if weights is None else weights.clone())

    def forward(self, z: Tensor) -> Tensor:
        parts = torch.stack([0.5 * z.square().sum(1), z.prod(1), torch.ones(len(z))], 1)
        return (parts @ self.weights)[:, None]


def correlated(num: int) -> Batch:
    """N(0, [[1, .9], [.9, 1]])."""
    root = torch.linalg.cholesky(torch.tensor([[1.0, RHO], [RHO, 1.0]]))
    return Batch(torch.randn(num, 2, generator=torch.Generator().manual_seed(0)) @ root.T)


@pytest.mark.parametrize("second_batch", [False, True])
def test_the_best_discriminator_is_the_log_ratio(second_batch: bool) -> None:
    """Newton's method on its loss, which is convex in the three numbers; the codes have almost no noise."""
    model, batch = given(FactorVAE, -14.0, second_batch=second_batch), correlated(60_000)
    model.discriminator = Quadratic()
    steps = torch.optim.LBFGS(model.discriminator.parameters(), line_search_fn="strong_wolfe", max_iter=50)

    def closure() -> Tensor:
        torch.manual_seed(1)
        steps.zero_grad()
        loss = model.discriminator_loss(batch)["loss"]
        loss.backward()
        return loss

    steps.step(closure)
    torch.testing.assert_close(model.discriminator.weights.data, Quadratic.truth, rtol=0.06, atol=0.0)


@torch.no_grad()
def test_its_mean_over_codes_is_the_total_correlation() -> None:
    model = given(FactorVAE, -14.0, gamma=10.0, warmup=0.0)
    model.discriminator = Quadratic(Quadratic.truth)
    terms = model.vae_loss(correlated(100_000))
    error = 3.0 * RHO / 100_000**0.5  # the log ratio of a correlated pair has the standard deviation RHO
    assert abs(terms["total_correlation"] - TRUTH) < error
    assert (terms["loss"] - terms["reconstruction"] - terms["kl"]).item() == pytest.approx(10.0 * TRUTH, abs=10 * error)


def test_without_gamma_its_first_player_is_vae_bitwise() -> None:
    assert same_as_vae(FactorVAE, "vae_loss", gamma=0.0)
    assert not same_as_vae(FactorVAE, "vae_loss", gamma=5.0)


def test_each_player_moves_its_own_weights() -> None:
    torch.manual_seed(0)
    model = FactorVAE(DataSpec((2,)), latent_dim=2, hidden=4)
    vae, judge = model.players()
    assert {id(p) for p in judge.owned} == {id(p) for p in model.discriminator.parameters()}
    assert len(vae.owned) + len(judge.owned) == len(list(model.parameters()))
    model.discriminator_loss(Batch(torch.randn(8, 2)))["loss"].backward()
    assert all(p.grad is None for p in vae.owned) and all(p.grad is not None for p in judge.owned)


@torch.no_grad()
def test_with_a_second_batch_no_code_is_on_both_sides() -> None:
    model, seen = given(FactorVAE, -14.0, second_batch=True), []
    model.discriminator.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    batch = correlated(10)
    model.discriminator_loss(batch)
    torch.testing.assert_close(seen[0], batch.x[:5], rtol=0.0, atol=0.01)
    torch.testing.assert_close(seen[1].sort(0).values, batch.x[5:].sort(0).values, rtol=0.0, atol=0.01)


@torch.no_grad()
def test_validation_has_no_part_of_the_discriminator_and_one_example_is_enough() -> None:
    model = given(FactorVAE, second_batch=True)
    model.progress = 0.02
    with model.final_objective():
        terms = model.validate(correlated(1))
    assert terms["objective"] == terms["loss"] and terms["loss"].isfinite()
    assert model.ramp == 1.0, "losses of different validations do not compare: the last weights are taken"
    assert model.ramped == pytest.approx(0.2)
