"""The plain convolutions of disentanglement papers: their layers, and images of any size."""

import pytest
import torch
from torch import nn

from genarena.nets.strided import StridedDecoder, StridedEncoder


def test_the_layers_are_those_of_disentanglement_lib_for_64_pixels() -> None:
    """Locatello et al. 2019, table 1: four convolutions, 256, then the code; back by 256, 1024 and four convolutions."""
    encoder, decoder = StridedEncoder((1, 64, 64), 20, 256), StridedDecoder(10, 1, (64, 64), 256)
    convolutions = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in encoder.convolutions]
    assert convolutions == [(1, 32, 4, 2), (32, 32, 4, 2), (32, 64, 2, 2), (64, 64, 2, 2)]
    assert [(d.in_features, d.out_features) for d in (encoder.dense, encoder.last)] == [(1024, 256), (256, 20)]
    back = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in decoder.convolutions]
    assert back == [(64, 64, 4, 2), (64, 32, 4, 2), (32, 32, 4, 2), (32, 1, 4, 2)]
    dense = [layer for layer in decoder.dense if isinstance(layer, nn.Linear)]
    assert [(d.in_features, d.out_features) for d in dense] == [(10, 256), (256, 1024)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (2, 13, 9), (3, 64, 64), (1, 17, 32)])
def test_every_pixel_is_seen_and_drawn(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, *shape, requires_grad=True)
    code = StridedEncoder(shape, 3, 64, slope=0.1)(x)
    (seen,) = torch.autograd.grad(code.square().sum(), x)
    assert (seen != 0).all()
    for normalised in (False, True):
        drawn = StridedDecoder(3, shape[0], shape[1:], 16, normalised)(torch.randn(50, 3))
        assert drawn.shape == (50, *shape) and (drawn.std(0) > 1e-5).all()


def test_the_context_reaches_both_ends() -> None:
    torch.manual_seed(0)
    encoder, decoder = StridedEncoder((1, 8, 8), 3, 16, 2), StridedDecoder(3 + 2, 1, (8, 8), 16)
    x, context = torch.randn(4, 1, 8, 8), torch.eye(2).repeat(2, 1)
    assert not torch.allclose(encoder(x, context), encoder(x, context.flip(1)))
    z = encoder(x, context)
    assert not torch.allclose(decoder(z, context), decoder(z, context.flip(1)))


def test_a_limited_network_has_spectral_norm_one_in_every_layer() -> None:
    torch.manual_seed(0)
    net = StridedEncoder((1, 16, 16), 3, 16, spectral=True)
    layers = [*net.convolutions, net.dense, net.last]
    for layer in layers:
        layer.parametrizations.weight.original.data.mul_(3.0)
    for _ in range(60):
        net(torch.randn(1, 1, 16, 16))
    norms = [torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() for layer in layers]
    assert norms == pytest.approx([1.0] * len(layers), abs=0.03)
