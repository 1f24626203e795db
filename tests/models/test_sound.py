"""Sound (C, T) and more than 256 levels: what models it, and what refuses it in one line."""

import math

import pytest
import torch

from genarena.build import build
from genarena.config import available, compose
from genarena.errors import UserError
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.baseline.uniform import Uniform
from genarena.spec import Batch, DataSpec
from tests.first_stages import standing

SOUND = DataSpec((2, 8), 512)


def waves(num: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    phase = 2 * math.pi * torch.rand(num, 2, 1, generator=generator) + torch.arange(8)
    return (255.5 + 200 * phase.sin()).round().to(torch.int32)


@torch.no_grad()
@pytest.mark.parametrize("make", [Uniform, Gaussian], ids=lambda make: make.__name__)
def test_baselines_model_sound_of_512_levels(make: type) -> None:
    model = make(SOUND)
    model.observe(Batch(waves(200)))
    samples = model.eval().sample(300)
    assert samples.shape == (300, 2, 8) and samples.dtype == torch.int32
    assert 256 < samples.max() < 512
    bits = -model.log_prob(waves(10)) / (SOUND.num_dims * math.log(2.0))
    assert torch.isfinite(bits).all()
    if make is Uniform:
        torch.testing.assert_close(bits, torch.full((10,), 9.0))  # log2(512)
    else:
        assert bits.mean() < 9.0, "the waves have few degrees of freedom"


@pytest.mark.parametrize("name", [name for name in available("model") if not name.endswith("_paper")])
def test_sound_is_modelled_or_refused_in_one_line(name: str) -> None:
    node = standing(compose([f"model={name}", "data=digits"]))
    node.spec = {"_target_": "genarena.spec.DataSpec", "shape": [2, 8], "num_levels": 512}
    if name in ("uniform", "gaussian", "memoriser", "heldout", "diffwave", "flow_matching_vocoder"):
        assert build(node, "model").sample(2).shape == (2, 2, 8)
        return
    with pytest.raises(UserError) as refused:
        build(node, "model")
    text = str(refused.value)
    assert "(2, 8)" in text and "\n" not in text
