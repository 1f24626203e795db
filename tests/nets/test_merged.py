"""A stack as matrix products over all examples: the numbers and gradients of its layers one by one."""

import pytest
import torch
from torch import Tensor

from genarena.nets.wavenet import GatedStack

OPTIONS = [
    {},
    {"context_channels": 5},
    {"context_channels": 5, "step_features": 6, "scale": 0.5**0.5},
    {"causal": True, "kernel_size": 2},
]


def by_layers(net: GatedStack, x: Tensor, context: Tensor | None, step: Tensor | None) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):  # it chooses the layers; no number is rounded, because none is float32
        return net(x, context, step)


@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_values_and_gradients_are_those_of_the_layers(options: dict, num: int) -> None:
    torch.manual_seed(0)
    net = GatedStack(2, 4, 3, num_layers=5, dilation_cycle=3, **options).double()
    x = torch.randn(num, 2, 11, dtype=torch.float64, requires_grad=True)
    given = {"context_channels": (num, 5, 11), "step_features": (num, 6)}
    context, step = (
        torch.randn(size, dtype=torch.float64, requires_grad=True) if name in options else None
        for name, size in given.items()
    )
    leaves = [leaf for leaf in (x, context, step) if leaf is not None] + list(net.parameters())
    merged, plain = net(x, context, step), by_layers(net, x, context, step)
    torch.testing.assert_close(merged, plain)
    with torch.no_grad():  # layers share memory
        torch.testing.assert_close(net(x, context, step), plain)
    weight = torch.randn_like(plain)
    for ours, theirs in zip(
        torch.autograd.grad((merged * weight).sum(), leaves),
        torch.autograd.grad((plain * weight).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_examples_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    net = GatedStack(2, 4, 3, num_layers=4)
    x = torch.randn(3, 2, 9)
    torch.testing.assert_close(torch.cat([net(row[None]) for row in x]), net(x))
