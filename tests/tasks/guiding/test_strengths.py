"""Strengths of guidance on a small diffusion model: bitwise at 0 and 1, equal noise, and who can be guided."""

from functools import partial

import pytest
import torch

from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.models.baseline.uniform import Uniform
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.samplers import DPMSolver
from genarena.models.vae.vae import VAE
from genarena.spec import DataSpec
from genarena.tasks.guidance import Guidance
from genarena.tasks.guiding.strengths import ClassifierFree, Unguided, can_be_guided, guided, rows_of_labels
from tests.models.test_conditional import shaken
from tests.models.tiny import NARROW

SPEC = DataSpec((1, 8, 8), 17, 4, condition="label")
LABELS = torch.tensor([0, 3, 1, 2, 3])
small = partial(FlowMatching, SPEC, net=NARROW, sampler=DPMSolver(nfe=4))
draw = partial(ClassifierFree().draw, seed=5)


@pytest.fixture(scope="module")
def model() -> FlowMatching:
    torch.manual_seed(0)
    return shaken(small(condition_dropout=0.1))


@torch.no_grad()
def test_0_and_1_are_the_unconditional_and_the_conditional_model_bitwise(model: FlowMatching) -> None:
    torch.manual_seed(5)
    without = model.sample(len(LABELS), None)
    torch.manual_seed(5)
    given = model.sample(len(LABELS), LABELS)
    assert torch.equal(draw(model, LABELS, 0.0).x, without) and torch.equal(draw(model, LABELS, 1.0).x, given)
    assert not torch.equal(without, given)
    assert torch.equal(draw(model, LABELS.flip(0), 0.0).x, without)  # whatever the labels


def test_the_sampler_is_the_models_own_again(model: FlowMatching) -> None:
    own = model.sampler
    drawn = draw(model, LABELS, 3.0)
    assert model.sampler is own and drawn.failures == 0 and drawn.nfe == 2 * draw(model, LABELS, 1.0).nfe
    with pytest.raises(RuntimeError), guided(model, 2.0):
        assert model.sampler.guidance == 2.0
        raise RuntimeError
    assert model.sampler is own


def test_who_can_be_guided(model: FlowMatching) -> None:
    assert [ClassifierFree().fits(each) for each in (DDPM, FlowMatching, PixelCNN, VAE)] == [True, True, True, False]
    assert [Unguided().fits(each) for each in (DDPM, VAE, Uniform)] == [True, True, False]
    assert can_be_guided(model) and Guidance().algorithm_for(model).possible((0.0, 2.0)) == (0.0, 2.0)
    without = small(condition_dropout=0.0)
    assert not can_be_guided(without) and Guidance().algorithm_for(without).name == "unguided"
    with pytest.raises(ValueError, match=r"^algorithm=classifier_free: FlowMatching has no prediction without a label"):
        Guidance(algorithm=ClassifierFree()).algorithm_for(without)
    assert Unguided().possible((0.0, 1.0, 2.0)) == (1.0,)
    assert Guidance().refusal(Uniform) == (
        "Uniform cannot do this task, which needs a model that takes labels and has a sampler with guidance or takes labels"
    )


def test_a_row_of_each_label() -> None:
    assert rows_of_labels(3, 2).tolist() == [0, 0, 1, 1, 2, 2]
