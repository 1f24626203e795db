"""The U-Net of Ho et al.: its size and its start are those of the authors' code."""

import pytest
import torch
import torch.nn.functional as F

from genarena.build import build
from genarena.config import compose
from genarena.nets.ddpm_unet import DDPMUNet, SelfAttention, Shrink


@pytest.mark.parametrize(
    ("size", "multipliers", "count"),
    [(32, (1, 2, 2, 2), 35_746_307), (256, (1, 1, 2, 2, 4, 4), 113_673_219)],  # 35.7 and 114 million in the paper
)
def test_sizes_are_those_of_the_paper(size: int, multipliers: tuple[int, ...], count: int) -> None:
    with torch.device("meta"):
        network = DDPMUNet(3, 3, (3, size, size), multipliers=multipliers)
    assert sum(p.numel() for p in network.parameters()) == count


def test_ddpm_paper_has_this_network() -> None:
    model = compose(["model=ddpm_paper", "data=cifar10"]).model
    with torch.device("meta"):
        network = build(model.net, "net")(3, 3, (3, 32, 32))
    assert sum(p.numel() for p in network.parameters()) == 35_746_307


def small(size: tuple[int, int], **options: object) -> DDPMUNet:
    torch.manual_seed(0)
    return DDPMUNet(
        2, 3, (2, *size), **{"hidden_channels": 8, "multipliers": (1, 2, 2), "attention": (), **options}
    ).eval()


@pytest.mark.parametrize("size", [(28, 28), (7, 7), (1, 1), (9, 14)])
@pytest.mark.parametrize("num_blocks", [1, 2])
def test_any_size_comes_back_and_is_zero_at_the_start(size: tuple[int, int], num_blocks: int) -> None:
    out = small(size, num_blocks=num_blocks)(torch.randn(2, 2, *size), torch.rand(2))
    assert out.shape == (2, 3, *size) and not out.any()


def test_every_residual_branch_starts_at_zero() -> None:
    network = small((8, 8), attention=(8, 4))
    x, embedding = torch.randn(2, 8, 8, 8), torch.randn(2, 32)
    assert torch.equal(network.down[0][0](x, embedding), x)
    wide = torch.randn(2, 24, 8, 8)  # a map and its skip connection
    block = network.up[0][0].block
    torch.testing.assert_close(block(wide, embedding), F.conv2d(wide, block.shortcut.weight, block.shortcut.bias))


def test_attention_stands_at_its_heights_and_in_the_middle() -> None:
    network = small((28, 28), attention=(14,))
    places = [
        [isinstance(stage.attention, SelfAttention) for stage in stages] for stages in (*network.down, *network.up)
    ]
    assert places == [[False] * 2, [True] * 2, [False] * 2, [False] * 3, [True] * 3, [False] * 3]
    assert [isinstance(stage.attention, SelfAttention) for stage in network.middle] == [True, False]


@pytest.mark.parametrize("size", [5, 6])
def test_halving_pads_as_tensorflow_does(size: int) -> None:
    """The output at k is centred on the input 2k where the size is odd, and on 2k + 1 where it is even."""
    layer, x = Shrink(1), torch.arange(float(size**2)).view(1, 1, size, size)
    with torch.no_grad():
        layer.weight.zero_()[0, 0, 1, 1] = 1.0
        layer.bias.zero_()
        out = layer(x)
    first = 1 - size % 2
    assert torch.equal(out, x[:, :, first::2, first::2]) and out.shape[-1] == (size + 1) // 2


@pytest.mark.parametrize("options", [{"hidden_channels": 10}, {"multipliers": ()}, {"multipliers": (1, 0)}])
def test_impossible_sizes_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        small((8, 8), **options)
