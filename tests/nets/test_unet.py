import pytest
import torch

from genarena.nets.by_shape import unet_or_mlp
from genarena.nets.mlp import TimeMLP
from genarena.nets.time_embedding import sinusoidal_features
from genarena.nets.unet import SelfAttention, UNet


def unet(size, **options) -> UNet:
    torch.manual_seed(0)
    return UNet(2, 3, (1, *size), **{"hidden_channels": 16, **options}).eval()


@pytest.mark.parametrize("size", [(28, 28), (7, 7), (1, 1), (9, 14)])
@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 2)])
def test_any_size_comes_back(size, patch, multipliers):
    net = unet(size, patch=patch, multipliers=multipliers, num_blocks=2, attention=(7,))
    assert net(torch.randn(2, 2, *size), torch.rand(2)).shape == (2, 3, *size)


@pytest.mark.parametrize("net,shape", [(unet((9, 9), patch=2), (2, 9, 9)), (TimeMLP(5, 4, (5,)), (5,))])
def test_output_depends_on_every_input_and_on_time(net, shape):
    x = torch.randn(2, *shape, requires_grad=True)
    t = torch.tensor([0.2, 0.7], requires_grad=True)
    grad_x, grad_t = torch.autograd.grad(net(x, t).square().sum(), (x, t))
    assert (grad_x != 0).all() and (grad_t != 0).all()


def test_lowest_level_sees_the_whole_image():
    net, x = unet((28, 28), patch=2), torch.randn(1, 2, 28, 28, requires_grad=True)
    grad = torch.autograd.grad(net(x, torch.rand(1))[0, 0, 0, 0], x)[0]
    assert (grad != 0).all()


def test_attention_stands_where_it_was_asked_for():
    def attended(net: UNet) -> list[bool]:
        return [isinstance(stage.attention, SelfAttention) for stages in (*net.down, *net.up) for stage in stages]

    options = {"multipliers": (1, 1, 1), "patch": 2}  # maps of 14, 7, 4
    assert attended(unet((28, 28), attention=(7,), **options)) == [False, True, False] * 2
    assert attended(unet((28, 28), attention=(14, 4), **options)) == [True, False, True] * 2
    assert not any(attended(unet((28, 28), **options)))


def test_attention_mixes_positions_and_is_equivariant_to_their_order():
    torch.manual_seed(0)
    layer, x = SelfAttention(16, head_channels=8), torch.randn(2, 16, 3, 4)
    order = torch.randperm(12)
    shuffled = layer(x.flatten(2)[:, :, order].view_as(x)).flatten(2)
    torch.testing.assert_close(shuffled, layer(x).flatten(2)[:, :, order], atol=1e-5, rtol=1e-5)


def test_time_features_tell_neighbouring_steps_apart():
    features = sinusoidal_features(torch.arange(1001) / 1000, 64).double()
    distances = torch.cdist(features, features) + torch.eye(1001) * 10
    assert distances.min() > 0.1


@pytest.mark.parametrize("shape", [(2, 8, 8), (2,)])
def test_the_output_can_start_at_zero(shape):
    zero, other = (unet_or_mlp(2, 3, shape, zero_output=value) for value in (True, False))
    x, t = torch.randn(2, *shape), torch.rand(2)
    assert not zero(x, t).any() and other(x, t).all()


@pytest.mark.parametrize("options", [{"hidden_channels": 12}, {"multipliers": ()}, {"num_blocks": 0}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        unet((8, 8), **options)
