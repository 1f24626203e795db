"""A pair of two stages against a linear-Gaussian model, whose likelihood is known, and what is frozen in it."""

import math

import pytest
import torch
from torch import Tensor, nn

from genarena.build import build
from genarena.config import compose
from genarena.errors import UserError
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.latent_ddpm import LatentDDPM
from genarena.models.first_stage import FirstStage
from genarena.models.vae.vae import VAE
from genarena.spec import Batch, DataSpec
from tests.analytic import Affine
from tests.first_stages import standing

SPEC = DataSpec((4,))
SCALE, NOISE = 2.5, 0.7
VARIANCES = torch.tensor([4.0, 0.25])  # of the codes under p(z)


class Normal(GenerativeModel):
    """p(z) = N(0, diag(variances))."""

    family, likelihood, paper = "baseline", Likelihood.EXACT, ""

    def __init__(self, spec: DataSpec, variances: Tensor) -> None:
        super().__init__(spec)
        self.p = torch.distributions.Normal(torch.zeros(2), variances.sqrt())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": -self.log_prob(batch.x).mean()}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.p.sample((num_samples,))

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return self.p.log_prob(x).sum(1)


class Oracle(nn.Module):
    """E[x_0 | x_t] of x_0 ~ N(0, diag(variances)) under the schedule of a DDPM that predicts x_0."""

    def __init__(self, model: DDPM, variances: Tensor) -> None:
        super().__init__()
        self.schedule, self.variances = model.schedule, variances

    def forward(self, x_t: Tensor, t: Tensor, context: None) -> Tensor:
        step = (t * self.schedule.num_steps).round().long()
        a, s = self.schedule.at("signal", step, x_t), self.schedule.at("noise", step, x_t)
        return a * self.variances / (a**2 * self.variances + s**2) * x_t


def autoencoder(stretch: float = 1.0) -> tuple[VAE, torch.distributions.Distribution]:
    """p(x|z) = N(W z + b, NOISE^2 I) with orthogonal columns, q(z|x) the posterior under N(0, diag(VARIANCES)), its variance
    times `stretch`; and p(x)."""
    torch.manual_seed(4)
    columns, bias = torch.tensor([1.5, 0.9]), torch.randn(4)
    weight = torch.linalg.qr(torch.randn(4, 2)).Q * columns
    variance = 1.0 / (1.0 / VARIANCES + columns**2 / NOISE**2)
    gain = variance.diag() @ weight.T / NOISE**2
    model = VAE(SPEC, latent_dim=2, hidden=4)
    model.decoder = Affine(weight, bias, torch.full((4,), 2.0 * math.log(NOISE)))
    model.encoder = Affine(gain, -gain @ bias, (stretch * variance).log())
    covariance = weight @ VARIANCES.diag() @ weight.T + NOISE**2 * torch.eye(4)
    return model, torch.distributions.MultivariateNormal(bias, covariance)


def pair(stretch: float = 1.0) -> tuple[LatentDDPM, torch.distributions.Distribution]:
    """The pair with a prior of exact likelihood, on codes that are divided by SCALE."""
    model, truth = autoencoder(stretch)
    both = LatentDDPM(SPEC, lambda spec: Normal(spec, VARIANCES / SCALE**2), FirstStage(model))
    both.first_stage.scale.fill_(SCALE)
    return both.eval(), truth


@torch.no_grad()
def test_bound_is_the_likelihood_where_q_is_the_posterior() -> None:
    model, truth = pair()
    assert model.likelihood is Likelihood.LOWER_BOUND
    x = truth.sample((5,))
    bound = model.log_prob(x.repeat(20_000, 1)).view(20_000, 5)
    error = bound.std(0) / 20_000**0.5
    assert ((bound.mean(0) - truth.log_prob(x)).abs() < 4.0 * error).all()
    assert error.max() < 0.02


@torch.no_grad()
def test_gap_is_the_divergence_of_q_from_the_posterior() -> None:
    model, truth = pair(stretch=4.0)
    x = truth.sample((5,))
    bound = model.log_prob(x.repeat(40_000, 1)).view(40_000, 5)
    gap = 2 * 0.5 * (4.0 - 1.0 - math.log(4.0))  # KL of a normal with four times the variance, in two dimensions
    error = bound.std(0) / 40_000**0.5
    assert ((truth.log_prob(x) - bound.mean(0) - gap).abs() < 4.0 * error).all()


@torch.no_grad()
def test_bound_of_a_diffusion_on_the_codes_closes_for_the_oracle() -> None:
    first, truth = autoencoder()
    model = LatentDDPM(SPEC, lambda spec: DDPM(spec, prediction="x", variance="beta"), FirstStage(first)).eval()
    model.first_stage.scale.fill_(SCALE)
    model.prior.network = Oracle(model.prior, VARIANCES / SCALE**2)
    x = truth.sample((4,))
    bound = model.log_prob(x.repeat(4000, 1), num_samples=20).view(4000, 4)
    error = bound.std(0) / 4000**0.5
    assert (bound.mean(0) < truth.log_prob(x) + 4.0 * error).all()
    assert (bound.mean(0) > truth.log_prob(x) - 0.1 - 4.0 * error).all()
    assert error.max() < 0.05


@torch.no_grad()
def test_samples_have_the_mean_and_covariance_of_the_truth() -> None:
    model, truth = pair()
    x = model.sample(100_000)
    torch.testing.assert_close(x.mean(0), truth.mean, atol=0.05, rtol=0.0)
    torch.testing.assert_close(x.T.cov(), truth.covariance_matrix, atol=0.15, rtol=0.0)


@torch.no_grad()
def test_scaled_codes_of_the_training_data_have_unit_deviation() -> None:
    """The scale is that of draws z ~ q(z|x), not of their means."""
    model, truth = pair()
    stage = model.first_stage
    encoded = stage.encoded(truth.sample((20_000,)))
    stage.settle(encoded)
    codes = stage.draw(encoded)
    assert (codes - codes.mean()).square().mean().sqrt().item() == pytest.approx(1.0, abs=0.02)
    assert stage.scale.item() == pytest.approx(VARIANCES.mean().sqrt().item(), abs=0.03)


def test_encoded_examples_and_data_give_the_same_loss() -> None:
    model = build(standing(compose(["model=latent_ddpm", "data=digits"])), "model")
    x = torch.randint(17, (8, 1, 8, 8), dtype=torch.uint8)
    losses = []
    for batch in (x, model.first_stage.encoded(x)):
        torch.manual_seed(3)
        losses.append(model.loss(Batch(batch))["loss"])
    assert torch.equal(*losses)


def test_first_stage_is_frozen_and_not_optimised() -> None:
    model = build(standing(compose(["model=latent_ddpm", "data=digits"])), "model").train()
    assert not any(part.training for part in model.first_stage.modules())
    frozen = {id(parameter) for parameter in model.first_stage.parameters()}
    taken = [
        id(p) for optimizer in model.configure_optimizers() for group in optimizer.param_groups for p in group["params"]
    ]
    assert frozen and not frozen & set(taken)
    assert set(taken) == {id(parameter) for parameter in model.prior.parameters()}


@torch.no_grad()
def test_first_stage_without_densities_gives_no_likelihood() -> None:
    node = standing(compose(["model=latent_ddpm", "data=digits"]))
    flow = build(compose(["model=injective_flow", "data=digits"]).model, "model")
    prior = build(node.prior, "prior")
    model = LatentDDPM(flow.spec, prior, FirstStage(flow)).eval()
    assert model.likelihood is Likelihood.NONE
    with pytest.raises(TypeError, match="no likelihood"):
        model.log_prob(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert model.sample(3).shape == (3, 1, 8, 8)


def test_refuses_what_cannot_be_a_first_stage() -> None:
    first = VAE(DataSpec((4,)), latent_dim=2, hidden=4)
    with pytest.raises(ValueError, match=r"model\.first_stage: vae models shape \(4,\) .* shape \(5,\)"):
        LatentDDPM(DataSpec((5,)), DDPM, FirstStage(first, "vae"))
    with pytest.raises(ValueError, match=r"model\.first_stage: uniform does not both encode and decode"):
        FirstStage(build(compose(["model=uniform", "data=digits"]).model, "model"), "uniform")
    given = VAE(DataSpec((4,), num_classes=2, condition="label"), latent_dim=2, hidden=4)
    with pytest.raises(
        ValueError, match=r"vae was trained with data\.condition=label, and a first stage has no condition"
    ):
        FirstStage(given, "vae")
    with pytest.raises(ValueError, match=r"model\.first_stage=runs: expected the folder"):
        LatentDDPM(SPEC, DDPM, "runs")
    with pytest.raises(UserError, match="trained on digits-1, and the data here is digits-2"):
        FirstStage(first, data_id="digits-1").check_data("digits-2")
