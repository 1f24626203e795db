"""Labelled samples: the labels asked for, or a classifier's; what is not finite is counted and grey."""

import pytest
import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.diffusion.samplers import DPMSolver
from genarena.spec import Batch, DataSpec
from genarena.tasks.augmenting.labels import ROWS, Conditional, Pseudo, sampled


class Constant(GenerativeModel):
    """Images of the level y; NaN for label 3. Random where there is no label."""

    family, likelihood, paper, conditional = "baseline", Likelihood.NONE, "", True

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        if y is None:
            return torch.randint(0, 16, (num_samples, *self.spec.shape)).to(torch.uint8)
        x = y.float().view(-1, 1, 1, 1).expand(-1, *self.spec.shape).clone()
        x[y == 3] = torch.nan
        return x if (y == 3).any() else x.to(torch.uint8)


def test_conditional_samples_have_the_labels_asked_for() -> None:
    model = Constant(DataSpec((1, 4, 4), 17, 5, condition="label"))
    y = torch.arange(ROWS + 7) % 5
    made = Conditional().draw(model, y, classify=None, seed=0)
    assert made.samples.x.dtype == torch.uint8 and torch.equal(made.samples.y, y)
    assert made.failures == int((y == 3).sum())
    assert torch.equal(made.samples.x[:, 0, 0, 0].long(), torch.where(y == 3, 8, y))


def test_guidance_is_that_of_the_sampler() -> None:
    model = Constant(DataSpec((1, 4, 4), 17, 5, condition="label"))
    with pytest.raises(ValueError, match=r"algorithm.guidance=1.5: Constant has no guidance"):
        Conditional(guidance=1.5).draw(model, torch.arange(5), classify=None, seed=0)
    used, model.sampler, model.guides = [], DPMSolver(nfe=7, guidance=1.0), True
    model.use = used.append
    Conditional().draw(model, torch.arange(5), classify=None, seed=0)
    assert not used and Conditional().exactness == "exact"
    Conditional(guidance=1.5).draw(model, torch.arange(5), classify=None, seed=0)
    assert [(each.guidance, each.nfe) for each in used] == [(1.5, 7)] and Conditional(1.5).exactness == "heuristic"


def test_pseudo_labels_are_the_classifiers() -> None:
    model, state = Constant(DataSpec((1, 4, 4), 17, 5)), torch.get_rng_state()
    made = Pseudo().draw(model, torch.zeros(ROWS + 7, dtype=torch.long), lambda x: x[:, 0, 0, 0].long() % 5, seed=1)
    assert torch.equal(torch.get_rng_state(), state) and made.failures == 0
    assert torch.equal(made.samples.y, made.samples.x[:, 0, 0, 0].long() % 5) and len(made.samples.x) == ROWS + 7
    assert torch.equal(made.samples.x, sampled(model, ROWS + 7, None, 1)[0])
    assert not torch.equal(made.samples.x, sampled(model, ROWS + 7, None, 2)[0])
