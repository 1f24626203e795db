"""Adam with clipped entries: its bound by hand, and Adam itself where nothing is clipped. Muon: that of torch, and AdamW."""

import copy

import pytest
import torch

from genarena.training.optimisers import ClippedAdam, Muon, orthogonal


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


def walk(
    make: type[torch.optim.Optimizer], start: torch.Tensor, gradients: list[torch.Tensor], **options: object
) -> torch.Tensor:
    weight = torch.nn.Parameter(start.clone())
    optimizer = make([weight], lr=0.01, weight_decay=0.1, **options)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        assert torch.equal(weight.grad, gradient)
    return weight.detach()


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (16, 3, 3, 3)])
def test_matrices_and_kernels_walk_as_those_of_torch(shape: tuple[int, ...]) -> None:
    """torch.optim.Muon iterates in bfloat16, of three digits, and knows matrices alone."""
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(4)]
    ours = walk(Muon, start, gradients).flatten(1)
    theirs = walk(torch.optim.Muon, start.flatten(1), [each.flatten(1) for each in gradients])
    moved = theirs - start.flatten(1)
    assert (ours - theirs).norm() < 0.03 * moved.norm()


@pytest.mark.parametrize("shape", [(7,), (), (1, 5, 3, 3), (6, 1)])
def test_what_is_no_matrix_walks_as_with_adamw(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
    assert torch.equal(walk(Muon, start, gradients, rest=1.0), walk(torch.optim.AdamW, start, gradients))


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_the_iteration_keeps_the_directions_and_evens_the_singular_values(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    u, s, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    found = u.T @ orthogonal(u * s.clamp_min(0.5) @ v) @ v.T
    assert (found - found.diag().diag()).abs().max() < 1e-4
    assert 0.6 < found.diag().min() and found.diag().max() < 1.25


def test_muon_goes_on_bitwise_from_its_state_and_refuses_a_momentum() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 4)
    optimizer, paths = Muon(layer.parameters(), lr=0.1), []
    layer(torch.randn(8, 6)).square().sum().backward()
    optimizer.step()
    weights, state = copy.deepcopy(layer.state_dict()), copy.deepcopy(optimizer.state_dict())
    for each in (optimizer, Muon(layer.parameters(), lr=0.1)):
        layer.load_state_dict(weights)
        each.load_state_dict(copy.deepcopy(state))
        each.step()
        paths.append(torch.cat([parameter.detach().flatten() for parameter in layer.parameters()]))
    assert torch.equal(*paths)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.015])
    with pytest.raises(ValueError, match="momentum=1.0"):
        Muon(layer.parameters(), momentum=1.0)
