"""Chains with an encoder, and optimised codes, against the exact posterior of probabilistic PCA."""

import pytest
import torch

from genarena.models.vae.vae import VAE
from genarena.spec import DataSpec
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.posterior.importance_resampling import ImportanceResampling
from genarena.tasks.posterior.latent_optimisation import LatentOptimisation
from genarena.tasks.posterior.metropolis_within_gibbs import MetropolisWithinGibbs
from genarena.tasks.posterior.pseudo_gibbs import PseudoGibbs
from tests.tasks.posterior.test_elliptical_slice import NUM, SPEC, errors, images
from tests.tasks.ppca import HALF, LATENT, PPCA, SIZE, Linear, Normal, asked
from tests.tasks.world import relative_w2

WRONG = {"exact": {}, "narrow": {"scale": 0.5}, "shifted": {"shift": 0.3}}


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_pseudo_gibbs_is_as_wrong_as_the_encoder(sigma: float) -> None:
    """Pinned: hidden dimensions, mean in standard deviations and ratio of variances."""
    found = {}
    for name, options in WRONG.items():
        world = PPCA(**options)
        found[name] = errors(PseudoGibbs(num_steps=40).draw(world, asked(world, sigma, NUM)).x, world, HALF, sigma)
    assert found["exact"][0] < 0.08
    assert found["exact"][1] == pytest.approx(1.0, abs=0.08)
    assert found["narrow"][1] == pytest.approx(0.80, abs=0.06)
    assert found["shifted"][0] == pytest.approx(1.04 if sigma == 0 else 1.46, abs=0.1)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_metropolis_within_gibbs_repairs_the_encoder(name: str, sigma: float) -> None:
    world = PPCA(**WRONG[name])
    made = MetropolisWithinGibbs(num_steps=80).draw(world, asked(world, sigma, NUM))
    off, ratio = errors(made.x, world, HALF, sigma)
    assert (made.facts["acceptance"].mean() == 1.0) == (name == "exact")
    assert 0.4 < made.facts["acceptance"].mean()
    assert off < 0.08
    assert ratio == pytest.approx(1.0, abs=0.08)


def test_optimised_codes_of_a_linear_decoder_are_the_posterior_mean() -> None:
    """From every start to the same point: there is no spread."""
    world, sigma = Linear(), 0.3
    made = LatentOptimisation(num_steps=400, num_restarts=2, floor=0.4).draw(world, asked(world, sigma, 5))
    mean, _ = world.given(HALF, world.draw()[0], 0.5)
    assert (made.x - mean).abs().max() < 1e-6
    assert made.x.var(0).max() < 1e-12
    world = PPCA()
    made = LatentOptimisation(num_steps=400, num_restarts=2).draw(world, asked(world, sigma, 5))
    assert (made.x - world.given(HALF, world.draw()[0], sigma)[0])[:, ~HALF].abs().max() < 1e-6


def test_the_best_restart_at_its_best_step_is_returned() -> None:
    """A step size so large that the last code is not the best; more restarts are never worse."""
    world, problem = Linear(), asked(Linear(), 0.3, 20)
    few = LatentOptimisation(num_steps=6, num_restarts=1, step_size=3.0).draw(world, problem)
    many = LatentOptimisation(num_steps=6, num_restarts=8, step_size=3.0).draw(world, asked(world, 0.3, 20))
    assert (many.facts["objective"] <= few.facts["objective"]).all()
    off = (problem.y - problem.operator(few.x)).square().sum(1) / (0.09 + 0.05**2)
    z = torch.linalg.lstsq(world.w, (few.x - world.mean).T).solution.T
    torch.testing.assert_close(few.facts["objective"], off + z.square().sum(1))


@pytest.mark.parametrize(
    "sampler",
    [PseudoGibbs(num_steps=3), MetropolisWithinGibbs(num_steps=4), LatentOptimisation(num_steps=3, num_restarts=2)],
    ids=lambda sampler: sampler.name,
)
@torch.no_grad()
def test_a_lane_is_the_same_alone_and_in_a_batch(sampler: PosteriorSampler) -> None:
    torch.manual_seed(0)
    model = VAE(SPEC).eval()
    together = sampler.draw(model, images(16)).x
    alone = sampler.draw(model, images(16).rows(slice(11, 12))).x
    torch.testing.assert_close(alone[0], together[11], atol=1e-4, rtol=1e-4)


def test_nothing_measured_is_the_prior() -> None:
    world, nothing = PPCA(), torch.zeros_like(HALF)
    for sampler in (PseudoGibbs(num_steps=5), MetropolisWithinGibbs(num_steps=5)):
        x = sampler.draw(world, asked(world, 0.1, NUM, nothing)).x
        assert relative_w2(x, world.mean, world.covariance()) < 0.06


class Holed(PPCA):
    """The encoder takes rows with holes: the exact mean of z, moved by `shift` deviations, and too wide."""

    spec = DataSpec((SIZE,), missing="mcar")

    def posterior(self, x: torch.Tensor, y: torch.Tensor | None = None) -> Normal:
        seen = (~x.isnan()).double()
        precision = torch.eye(LATENT).double() + torch.einsum("nd,di,dj->nij", seen, self.w, self.w) / self.own
        right = ((x.nan_to_num().double() - self.mean) * seen) @ self.w / self.own
        covariance = precision.inverse()
        deviation = covariance.diagonal(dim1=1, dim2=2).sqrt()
        mean = (covariance @ right[:, :, None])[..., 0] + self.shift * deviation
        return Normal(mean, 2.0 * (1.5 * deviation).log())


@pytest.mark.parametrize("sigma", [0.0, 0.3])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_importance_resampling_repairs_an_encoder_of_rows_with_holes(sigma: float, shift: float) -> None:
    """With one code it is as wrong as the encoder; the bias falls as the inverse of their number."""
    world, found = Holed(shift=shift), {}
    for num in (1, 100):
        made = ImportanceResampling(num_codes=num).draw(world, asked(world, sigma, NUM, together=False))
        found[num] = errors(made.x, world, HALF, sigma)
        assert 1.0 <= made.facts["effective_codes"].mean() <= num
    assert found[1][0] > 0.2 if shift else (found[1][1] > 1.15) == (sigma == 0)
    assert found[100][0] < 0.08
    assert found[100][1] == pytest.approx(1.0, abs=0.08)


def test_importance_resampling_needs_an_encoder_of_rows_with_holes() -> None:
    with pytest.raises(ValueError, match="needs a model that was trained on rows with holes"):
        ImportanceResampling().draw(PPCA(), asked(PPCA(), 0.0, 3))
    together = ImportanceResampling().draw(Holed(), asked(Holed(), 0.0, 16, together=False)).x
    alone = ImportanceResampling().draw(Holed(), asked(Holed(), 0.0, 16, together=False).rows(slice(7, 8))).x
    torch.testing.assert_close(alone[0], together[7], atol=1e-9, rtol=1e-9)
