"""Our samplers beside those of diffusers, an independent implementation, on a mixture whose denoiser is known."""

import importlib.util
import math

import pytest
import torch
from torch import Tensor

from genarena.models.diffusion.edm_sampler import EDMHeun
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import DDIM, Ancestral, DPMSolver
from genarena.models.diffusion.schedules import NoiseSchedule, cosine_alpha_bar, respaced
from genarena.models.diffusion.unipc import UniPC
from tests.analytic import Mixture

if importlib.util.find_spec("diffusers") is None:
    pytest.skip("diffusers, another implementation, is not installed", allow_module_level=True)
import diffusers

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WORLD, NUM = Mixture(), 12
X = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64).view(9, 1, 1)
SIGMAS = torch.logspace(1.5, -2.0, NUM + 1, dtype=torch.float64)  # s / a of the places visited
SPHERE = [Level(1.0 / math.hypot(1.0, sigma), sigma / math.hypot(1.0, sigma)) for sigma in SIGMAS.tolist()]


def at_sigmas(scheduler, sigmas: Tensor):
    """The scheduler with noise levels of ours, double precision, in place of its own."""
    scheduler.set_timesteps(NUM)
    scheduler.sigmas = sigmas
    return scheduler


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (DPMSolver(order=2), "dpm"),
        (UniPC(order=1), "unipc"),
        (UniPC(order=2), "unipc"),
        (UniPC(order=3), "unipc"),
    ],
    ids=str,
)
def test_multistep_samplers(ours, theirs: str) -> None:
    settings = {"solver_order": ours.order, "prediction_type": "sample", "lower_order_final": False}
    make = {"dpm": diffusers.DPMSolverMultistepScheduler, "unipc": diffusers.UniPCMultistepScheduler}[theirs]
    scheduler, x = at_sigmas(make(**settings, final_sigmas_type="sigma_min"), SIGMAS), X
    for time, level in zip(scheduler.timesteps, SPHERE[:-1], strict=True):
        x = scheduler.step(WORLD.denoise(x, level).x_0, time, x).prev_sample
    torch.testing.assert_close(ours(WORLD.denoise, X, SPHERE), x, rtol=0, atol=1e-5)


def test_heun_in_sigma() -> None:
    sigmas = torch.cat([SIGMAS[:1], SIGMAS[1:-1].repeat_interleave(2), torch.zeros(1)])
    scheduler, x = at_sigmas(diffusers.HeunDiscreteScheduler(), sigmas), X * SIGMAS[0]
    for time, sigma in zip(scheduler.timesteps, sigmas[:-1].tolist(), strict=False):
        x_0 = WORLD.denoise(x, Level(1.0, sigma)).x_0
        x = scheduler.step((x - x_0) / sigma, time, x).prev_sample
    path = [*(Level(1.0, sigma) for sigma in SIGMAS[:-1].tolist()), Level(1.0, 0.0)]
    torch.testing.assert_close(EDMHeun()(WORLD.denoise, X * SIGMAS[0], path), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("ours", "theirs"), [(DDIM(), "DDIMScheduler"), (Ancestral(), "DDPMScheduler")], ids=str)
def test_chains_in_steps(ours, theirs: str) -> None:
    """50 of the 1000 steps of the cosine schedule, with the same noise."""
    alpha_bar = cosine_alpha_bar(1000)
    betas = (1.0 - alpha_bar[1:] / alpha_bar[:-1]).numpy()
    settings = {"trained_betas": betas, "prediction_type": "sample", "clip_sample": False}
    scheduler = getattr(diffusers, theirs)(timestep_spacing="trailing", **settings)
    scheduler.set_timesteps(50)
    process, x, generator = NoiseSchedule(alpha_bar), X, torch.Generator().manual_seed(0)
    path = [process.level(step) for step in respaced(1000, 50)]
    for time, level in zip(scheduler.timesteps, path[:-1], strict=True):
        x = scheduler.step(WORLD.denoise(x, level).x_0, int(time), x, generator=generator).prev_sample
    generator = torch.Generator().manual_seed(0)
    found = ours(WORLD.denoise, X, path, lambda x: torch.randn(x.shape, generator=generator, dtype=x.dtype))
    torch.testing.assert_close(found, x, rtol=0, atol=1e-5)
