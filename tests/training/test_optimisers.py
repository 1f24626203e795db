"""Adam with clipped entries: its bound by hand, and Adam itself where nothing is clipped."""

import copy

import pytest
import torch

from genarena.training.optimisers import ClippedAdam


def steps(optimizer: type[torch.optim.Optimizer], gradients: list[float], **options: object) -> list[float]:
    """The weight after each step, from 0."""
    weight = torch.nn.Parameter(torch.zeros(1))
    made, path = optimizer([weight], lr=1.0, betas=(0.0, 0.9), eps=0.0, **options), []
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        made.step()
        path.append(weight.item())
    return path


def test_entries_are_clipped_by_hand() -> None:
    """First step: |g| <= 0.1. Then v = 0.1 * 0.1^2 = 0.001, and |g| <= 3 sqrt(0.001 / (1 - 0.9^2)) + 0.1 = 0.31764."""
    second = 3.0 * (0.001 / 0.19) ** 0.5 + 0.1
    assert steps(ClippedAdam, [5.0, -7.0]) == pytest.approx(steps(torch.optim.Adam, [0.1, -second]))
    assert steps(ClippedAdam, [0.05, 0.2]) == pytest.approx(steps(torch.optim.Adam, [0.05, 0.2]))


def test_each_entry_has_its_own_bound_and_state_that_can_be_loaded() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = ClippedAdam([weight], lr=0.1)
    weight.grad = torch.tensor([10.0, 0.01])
    optimizer.step()
    assert weight.grad.tolist() == pytest.approx([0.1, 0.01])
    twin = ClippedAdam([weight], lr=0.1)
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    bounds = []
    for each in (optimizer, twin):
        weight.grad = torch.tensor([10.0, -10.0])
        each.step()
        bounds.append(weight.grad.tolist())
    assert bounds[0] == bounds[1] and bounds[0][0] > -bounds[0][1] > 0.1
