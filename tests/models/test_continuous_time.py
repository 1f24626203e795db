"""What `flow_matching` and `edm` share: samples and likelihoods of a Gaussian world, with the network that knows it."""

import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.continuous_time import ContinuousDiffusion
from genarena.models.diffusion.edm import EDM
from genarena.models.diffusion.edm_sampler import EDMHeun
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.samplers import DDIM, Ancestral, DPMSolver, Heun
from genarena.models.diffusion.times import column
from genarena.spec import DataSpec
from tests.analytic import Normal
from tests.models.labelled import MEANS, WORLD, BestDenoiser, BestVelocity, pulled_back

BEST = {EDM: BestDenoiser, FlowMatching: BestVelocity}
BOTH = pytest.mark.parametrize("make", BEST, ids=lambda make: make.__name__)


def best(make: type[ContinuousDiffusion], spec: DataSpec, world: Normal = WORLD, **options) -> ContinuousDiffusion:
    torch.manual_seed(0)
    return make(spec, net=lambda *sizes: BEST[make](world), **options).eval()


@torch.no_grad()
@pytest.mark.parametrize(
    "sampler",
    [EDMHeun(nfe=79), EDMHeun(churn=20.0, nfe=99), Heun(nfe=39), DPMSolver(nfe=40), DDIM(nfe=300), Ancestral(nfe=600)],
    ids=str,
)
@BOTH
def test_samples_have_the_mean_and_variance_of_the_data(make: type[ContinuousDiffusion], sampler) -> None:
    x = best(make, DataSpec((2,)), sampler=sampler).sample(20_000)
    assert x.mean().item() == pytest.approx(WORLD.mean, abs=5 * WORLD.spread / 200)
    assert x.std().item() == pytest.approx(WORLD.spread, abs=0.02)


@torch.no_grad()
@BOTH
def test_density_of_any_network_integrates_to_one(make: type[ContinuousDiffusion]) -> None:
    class Wavy(nn.Module):
        def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
            return torch.sin(2.0 * x) + column(t, x) * torch.cos(x) - 0.3 * x

    grid = torch.linspace(-12.0, 12.0, 4801).unsqueeze(1)
    density = make(DataSpec((1,)), net=lambda *sizes: Wavy()).ode_log_prob(grid, 1e-6, 1, "uniform")[0].exp()
    assert density.sum().item() * 0.005 == pytest.approx(1.0, abs=1e-3)
    assert density.max().item() > 1.2 / math.sqrt(2.0 * math.pi)  # no standard normal: the field does something


@torch.no_grad()
@BOTH
def test_likelihood_of_levels_is_that_of_their_bins(make: type[ContinuousDiffusion]) -> None:
    """Levels of a fine grid, rounded from N(0, 0.3^2): the density hardly changes within a bin."""
    model = best(make, DataSpec((1, 1, 1), 256), Normal(0.0, 0.3))
    x = torch.arange(64, 192, dtype=torch.uint8).view(-1, 1, 1, 1)
    values, facts = model.ode_log_prob(x, 1e-6, 1, "uniform")
    edges = (torch.arange(64, 193).double() - 0.5) * (2.0 / 255) - 1.0
    exact = torch.distributions.Normal(0.0, 0.3).cdf(edges).diff().log()
    torch.testing.assert_close(values.mean(), exact.mean(), atol=5e-3, rtol=0)
    assert facts["dequantisation"] == "uniform"
    with pytest.raises(ValueError, match="dequantisation='model': expected one of uniform"):
        model.ode_log_prob(x, 1e-5, 1, "model")


@torch.no_grad()
@BOTH
def test_likelihood_samples_and_guidance_of_a_label_are_its_own(make: type[ContinuousDiffusion]) -> None:
    """Classes N(m_y, 0.8^2) in two dimensions, without a condition N(0.4, 0.8^2): guidance 2 has the mean 2 m_y - 0.4."""
    model = best(make, DataSpec((2,), num_classes=3, condition="label"))
    y = torch.arange(12) % 3
    means = MEANS[y][:, None]
    x = means + WORLD.spread * torch.randn(12, 2)
    found, _ = model.ode_log_prob(x, 1e-6, 1, "uniform", y)
    exact = torch.distributions.Normal(means, WORLD.spread).log_prob(x).sum(1).double()
    torch.testing.assert_close(found, pulled_back(x, means) if make is EDM else exact, rtol=0, atol=1e-3)
    for guidance, mean in ((0.0, WORLD.mean), (1.0, MEANS[2].item()), (2.0, 2.0 * MEANS[2].item() - WORLD.mean)):
        model.use(DPMSolver(nfe=30, guidance=guidance))
        drawn = model.sample(4000, torch.full((4000,), 2))
        assert drawn.mean().item() == pytest.approx(mean, abs=0.05)
        assert drawn.std().item() == pytest.approx(WORLD.spread, abs=0.04)
    assert model.nfe == 60
