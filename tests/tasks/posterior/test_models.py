"""The posterior samplers on networks: every kind of model that denoises, in the float type of the harness."""

import pytest
import torch

from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.edm import EDM
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.spec import DataSpec
from genarena.tasks.linear.mask import identity
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.posterior.daps import DAPS
from genarena.tasks.posterior.mmps import MMPS
from genarena.tasks.posterior.repaint import RePaint
from genarena.tasks.posterior.split_gibbs import SplitGibbs
from tests.models.tiny import NARROW

SAMPLERS = ("ancestral", "ddim", "dpm_solver", "heun", "edm_heun")


@pytest.mark.parametrize("kind", [DDPM, EDM, FlowMatching])
def test_images_of_a_network_are_finite_float32(kind: type) -> None:
    shape = (1, 8, 8)
    model = kind(DataSpec(shape, 17), net=NARROW).eval()
    guided: list[PosteriorSampler] = [MMPS(num_steps=3, sampler=each) for each in SAMPLERS]
    for algorithm in (*guided, SplitGibbs(2, 3, eta=0.1), RePaint(num_steps=6, jump=2), DAPS(num_steps=3)):
        asked = Problem(identity(shape), torch.zeros(2, *shape), 0.2, Noise.of([(0,), (1,)]))
        x = algorithm.draw(model, asked).x
        assert x.isfinite().all() and x.dtype == torch.float32 and not x.requires_grad, algorithm


def test_predictions_are_clipped_after_guidance_only_where_asked() -> None:
    model, shape = DDPM(DataSpec((1, 8, 8), 17), net=NARROW).eval(), (1, 8, 8)

    def drawn(clip: bool) -> torch.Tensor:
        asked = Problem(identity(shape), torch.full((1, *shape), 3.0), 0.01, Noise.of([(0,)]))
        return MMPS(num_steps=5, clip=clip).draw(model, asked).x

    assert drawn(True).abs().max() <= 1.0 < drawn(False).abs().max()
