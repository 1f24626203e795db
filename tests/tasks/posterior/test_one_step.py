"""One evaluation of an exact denoiser is the exact posterior mean."""

import pytest
import torch

from genarena.models.diffusion.ddpm import DDPM
from genarena.spec import DataSpec
from genarena.tasks.linear.mask import identity
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.closed_form import posterior_mean
from genarena.tasks.posterior.denoiser import time_of
from genarena.tasks.posterior.one_step import OneStep
from tests.models.tiny import NARROW
from tests.tasks.world import World


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.25, 1.0])
def test_one_step_of_the_exact_denoiser_is_the_closed_form(sigma: float) -> None:
    world = World()
    asked = Problem(identity(world.shape), world.draw(100) + sigma, sigma, Noise.of([(k,) for k in range(100)]))
    wanted = posterior_mean(*world.moments(), asked)
    assert torch.allclose(OneStep().draw(world, asked).x.double(), wanted, atol=2e-5)


def test_a_path_with_too_little_noise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"noise of 0.6 in \[0, 1\]: the model's path has at most 0.5$"):
        time_of(World(last=0.5), 1.2)  # s / a = tan(pi / 4)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_time_of_a_ddpm_has_the_noise_asked_for(schedule: str) -> None:
    model = DDPM(DataSpec((1, 8, 8), 17), num_steps=100, schedule=schedule, net=NARROW)
    for ratio in (0.1, 0.2, 0.5, 3.0):
        a, s = model.marginal(time_of(model, ratio))
        assert (s / a).item() == pytest.approx(ratio, rel=1e-4)
