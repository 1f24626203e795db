import math

import pytest
import torch

from genarena.likelihood import bits_per_dim
from genarena.models.baseline.uniform import Uniform
from genarena.spec import Batch, DataSpec


@pytest.mark.parametrize(("shape", "levels"), [((1, 8, 8), 17), ((3, 64, 64), 256), ((1, 28, 28), 2)])
def test_the_score_is_log2_of_the_number_of_levels(shape, levels):
    model = Uniform(DataSpec(shape, levels))
    x = torch.randint(levels, (5, *shape), dtype=torch.uint8)
    torch.testing.assert_close(
        bits_per_dim(model.log_prob(x), model.spec.num_dims), torch.full((5,), math.log2(levels))
    )


def test_all_levels_are_drawn_equally_often():
    x = Uniform(DataSpec((1, 8, 8), 5)).sample(1000)
    torch.testing.assert_close(x.flatten().bincount() / x.numel(), torch.full((5,), 0.2), atol=0.01, rtol=0)


def test_a_continuous_box_has_volume_one_and_holds_the_data_it_saw():
    model, data = Uniform(DataSpec((2,))), torch.rand(500, 2) * torch.tensor([3.0, 0.5]) + 7
    for part in data.split(100):
        model.observe(Batch(part))
    model.loss(Batch(data + 100))  # a loss must not move the box
    axis = torch.linspace(5, 12, 1401)
    density = model.log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert density.sum() * 0.005**2 == pytest.approx(1, abs=0.02)
    assert torch.isfinite(model.log_prob(data)).all()
    assert torch.isfinite(model.log_prob(model.sample(500))).all()
