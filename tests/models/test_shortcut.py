import math

import pytest
import torch
from scipy.stats import chisquare

from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.shortcut import Shortcut
from genarena.spec import Batch, DataSpec
from tests.models.labelled import WORLD, BestVelocity, data
from tests.models.test_flow_map import PLANE, best


@torch.no_grad()
def test_steps_of_zero_are_flow_matching() -> None:
    model = best(Shortcut, consistent_share=0.0)
    other = FlowMatching(PLANE, net=lambda *sizes: BestVelocity()).eval()
    losses = []
    for each in (model, other):
        torch.manual_seed(0)
        losses.append(each.loss(Batch(data(200_000)))["loss"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] == pytest.approx(math.pi * WORLD.spread / 2.0, abs=0.02)


@torch.no_grad()
@pytest.mark.parametrize(("bias", "least"), [(0.0, 0.0), (0.5, 1e-3)])
def test_the_exact_map_is_consistent_and_another_one_is_not(bias: float, least: float) -> None:
    terms = best(Shortcut, bias=bias).loss(Batch(data(4000)))
    assert least <= terms["consistency"].item() < (1e-10 if not bias else 1.0)


@torch.no_grad()
def test_the_loss_is_the_mean_over_the_batch_of_both_terms() -> None:
    terms = best(Shortcut, bias=1.0).loss(Batch(data(400)))
    assert terms["loss"].item() == pytest.approx(0.75 * terms["flow_matching"] + 0.25 * terms["consistency"])


def test_targets_have_no_gradient() -> None:
    model = Shortcut(PLANE, consistent_share=1.0)
    assert not model.two_steps(data(3), torch.ones(3), torch.full((3,), 0.5), None).requires_grad
    assert model.loss(Batch(data(3)))["loss"].requires_grad


def test_steps_are_halves_of_the_path_and_start_where_they_fit() -> None:
    torch.manual_seed(0)
    t, step = Shortcut(PLANE, most_steps_taught=8).steps(6000, torch.device("cpu"))
    assert step.unique().tolist() == [0.25, 0.5, 1.0]
    assert chisquare([int((step == value).sum()) for value in (0.25, 0.5, 1.0)]).pvalue > 1e-3
    for value, starts in ((0.25, [0.25, 0.5, 0.75, 1.0]), (0.5, [0.5, 1.0]), (1.0, [1.0])):
        found = t[step == value]
        assert found.unique().tolist() == starts
        assert len(starts) == 1 or chisquare([int((found == start).sum()) for start in starts]).pvalue > 1e-3


def test_the_network_is_told_the_logarithm_of_the_step() -> None:
    told = Shortcut(PLANE, most_steps_taught=16).told(torch.tensor([0.0, 1.0 / 64, 1.0 / 16, 1.0 / 8, 0.5, 1.0]))
    assert told.tolist() == [0.0, 0.0, 0.0, 0.25, 0.75, 1.0]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_other_numbers_of_steps_are_refused_in_one_line(most: int) -> None:
    with pytest.raises(ValueError, match=f"most_steps_taught={most}: expected a power of two"):
        Shortcut(DataSpec((2,)), most_steps_taught=most)
