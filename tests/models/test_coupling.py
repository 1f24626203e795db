"""Minibatch optimal transport against all permutations."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.coupling import assignment, optimal_transport
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.spec import Batch, DataSpec


def cost(x: Tensor, other: Tensor) -> float:
    return (x - other).square().sum().item()


@pytest.mark.parametrize("shape", [(3,), (1, 2, 2)])
def test_the_plan_is_the_best_of_all_permutations(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        x, eps = torch.randn(2, 5, *shape, generator=generator)
        least = min(itertools.permutations(range(5)), key=lambda order: cost(x, eps[list(order)]))
        assert assignment(x, eps).tolist() == list(least)
        assert torch.equal(optimal_transport(x, eps), eps[list(least)])


def test_noise_stays_in_its_class() -> None:
    generator = torch.Generator().manual_seed(0)
    x, eps, y = *torch.randn(2, 40, 2, generator=generator), torch.randint(3, (40,), generator=generator)
    paired = optimal_transport(x, eps, y)
    for label in range(3):
        own = y == label
        assert torch.equal(paired[own], optimal_transport(x[own], eps[own]))
        assert {*map(tuple, paired[own].tolist())} == {*map(tuple, eps[own].tolist())}
    assert cost(x, optimal_transport(x, eps)) < cost(x, paired) < cost(x, eps)
    attributes = torch.stack([y == 0, y == 1], 1).long()
    assert torch.equal(optimal_transport(x, eps, attributes), paired)


def test_noise_of_each_class_stays_standard_normal() -> None:
    """Class means far apart: transport over the whole batch would give each class its side of the noise."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(2).repeat(32)
    x = torch.randn(200, 64, 1, generator=generator) + 4.0 * y[:, None]
    eps = torch.randn(200, 64, 1, generator=generator)
    within, over_all = (
        torch.stack([optimal_transport(*pair, given) for pair in zip(x, eps, strict=True)]) for given in (y, None)
    )
    for label in (0, 1):
        drawn = within[:, y == label]
        assert abs(drawn.mean().item()) < 4.0 / drawn.numel() ** 0.5
        assert drawn.var().item() == pytest.approx(1.0, abs=4.0 * (2.0 / drawn.numel()) ** 0.5)
        assert abs(over_all[:, y == label].mean().item()) > 0.5


def test_straighter_paths_have_a_smaller_loss() -> None:
    """Of two Gaussians N(0, c^2) and N(0, 1) in one dimension the transport is x_0 = c eps, and in the limit of large batches
    the loss of the best velocity is 0; without it, pi c / 2."""
    torch.manual_seed(0)

    class Transport(nn.Module):
        """v = (1 - c) eps for x_t = ((1 - t) c + t) eps."""

        def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
            return 0.5 * x / ((1.0 - t[:, None]) * 0.5 + t[:, None])

    losses = {}
    for coupling in ("independent", "optimal_transport"):
        model = FlowMatching(DataSpec((1,)), net=lambda *sizes: Transport(), coupling=coupling)
        losses[coupling] = model.loss(Batch(0.5 * torch.randn(1000, 1)))["loss"].item()
    assert losses["optimal_transport"] < 0.01 and losses["independent"] > 0.5
