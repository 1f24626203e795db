"""Options of denoising, and the algorithm that fits a model; moments of a Gaussian in the space of the tasks."""

import pytest
import torch

from genarena.models.baseline.gaussian import Gaussian
from genarena.spec import Batch, DataSpec
from genarena.tasks.denoise import Denoise
from genarena.tasks.posterior.one_step import OneStep
from genarena.tasks.restoring.images import to_image
from tests.tasks.world import World

SHAPE = (1, 2, 3)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_moments_of_a_gaussian_are_those_of_its_levels(covariance: str) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randint(0, 9, (400, 1, 1, 1), generator=generator)
    x = (base + torch.randint(0, 8, (400, 1, 2, 3), generator=generator)).to(torch.uint8)
    model = Gaussian(DataSpec(SHAPE, 17), covariance=covariance, shrinkage=1e-9)
    model.observe(Batch(x))
    mean, found = model.moments()
    scaled = 2 * to_image(x, 17).flatten(1) - 1
    wanted = torch.cov(scaled.T, correction=0)
    assert torch.allclose(mean, scaled.mean(0), atol=1e-9)
    assert torch.allclose(found, wanted if covariance == "full" else wanted.diagonal(), atol=1e-6)


def test_wrong_options_are_refused() -> None:
    for sigma, said in (
        ([0.1, -1], "sigma=-1"),
        ([1.5], "at most 1"),
        ([], "at least one"),
        ([0.1, 0.1], "different"),
        (["a"], r"sigma=\['a'\]: expected a list, each of its values float"),
    ):
        with pytest.raises(ValueError, match=said):
            Denoise(sigma=sigma)
    with pytest.raises(ValueError, match="num_images=0: expected at least 1"):
        Denoise(num_images=0)
    assert Denoise().algorithm_for(World()).name == "closed_form"
    assert Denoise(algorithm=OneStep()).algorithm_for(World()).exactness == "asymptotic"
    with pytest.raises(ValueError, match="object cannot do this task, which needs a model that Denoises"):
        Denoise(algorithm=OneStep()).algorithm_for(object())
