"""Stacks of gated convolutions: what each output depends on, and the equation of a layer."""

import pytest
import torch

from genarena.nets.wavenet import GatedStack


def stack(causal: bool = False, **options: int) -> GatedStack:
    torch.manual_seed(0)
    return GatedStack(2, 4, 3, num_layers=4, dilation_cycle=2, causal=causal, **options)


@pytest.mark.parametrize("causal", [False, True])
def test_it_sees_what_it_says_and_nothing_else(causal: bool) -> None:
    net = stack(causal, context_channels=5)
    x, context = torch.randn(1, 2, 64, requires_grad=True), torch.randn(1, 5, 64, requires_grad=True)
    to_x, to_context = torch.autograd.grad(net(x, context)[:, :, 32].square().sum(), (x, context))
    left, right = net.reach
    assert (left, right) == ((12, 0) if causal else (6, 6))
    places = to_x.abs().sum((0, 1)).nonzero().flatten()
    assert places.min() == 32 - left and places.max() == 32 + right
    places = to_context.abs().sum((0, 1)).nonzero().flatten()
    first, last = net.layers[0].padding
    assert places.min() == 32 - left + first and places.max() == 32 + right - last


@torch.no_grad()
def test_one_layer_is_the_equation() -> None:
    torch.manual_seed(0)
    net = GatedStack(1, 2, 3, num_layers=1, context_channels=4, step_features=5)
    x, context, step = torch.randn(1, 1, 3), torch.randn(1, 4, 3), torch.randn(1, 5)
    layer = net.layers[0]
    h = net.first.weight[:, :, 0] @ x[0] + net.first.bias[:, None] + net.step(step)[0][:, None]
    local = net.context.weight[:, :, 0] @ context[0, :, 1] + net.context.bias
    raw = sum(layer.conv.weight[:, :, k] @ h[:, k] for k in range(3)) + layer.conv.bias + local
    a = torch.tanh(raw[:2]) * torch.sigmoid(raw[2:])
    expected = layer.output.weight[:, :, 0] @ a + layer.output.bias
    torch.testing.assert_close(net(x, context, step)[0, :, 1], expected)


@torch.no_grad()
def test_a_causal_layer_goes_on_from_a_cache() -> None:
    net = stack(causal=True)
    h = torch.randn(2, 4, 20)
    layer = net.layers[1]
    whole, skip = layer(h)
    reach = layer.padding[0]
    for place in range(reach, 20):
        one, alone = layer.advance(h[:, :, place : place + 1], h[:, :, place - reach : place + 1])
        torch.testing.assert_close(one[:, :, 0], whole[:, :, place])
        torch.testing.assert_close(alone[:, :, 0], skip[:, :, place])


def test_every_parameter_counts() -> None:
    net = stack(context_channels=5, step_features=6)
    net(torch.randn(2, 2, 9), torch.randn(2, 5, 9), torch.randn(2, 6)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


def test_an_even_kernel_has_no_middle() -> None:
    with pytest.raises(ValueError, match="kernel_size=2: expected an odd size"):
        GatedStack(1, 2, 2, 1, kernel_size=2)
