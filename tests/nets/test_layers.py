"""What is recorded of layers: outputs, inputs, averages over positions, the last part of a tuple; nothing stays behind."""

import pytest
import torch
from torch import Tensor, nn

from genarena.nets.layers import as_vectors, last_linear, layers_of, recorded
from genarena.nets.mlp import TimeMLP
from genarena.nets.unet import UNet


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x, 2.0 * x, torch.zeros(len(x))  # as a bijection's log-determinant


def test_maps_and_tokens_are_averaged_or_flattened() -> None:
    maps = torch.arange(24.0).view(2, 3, 2, 2)
    assert torch.equal(as_vectors(maps), torch.tensor([[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]))
    assert torch.equal(as_vectors(maps, pooled=False), maps.flatten(1))
    assert torch.equal(as_vectors(maps.flatten(2).mT), as_vectors(maps))
    assert as_vectors(maps.flatten(1).double()).dtype == torch.float32


def test_outputs_inputs_and_tuples_are_recorded_and_hooks_removed() -> None:
    pair, layer, x = Pair(), nn.Linear(3, 2), torch.randn(4, 3)
    found = recorded(lambda: layer(pair(x)[1]), {"pair": pair}, {"read": layer})
    assert torch.equal(found["pair"], 2.0 * x) and torch.equal(found["read"], 2.0 * x)
    assert not pair._forward_hooks and not layer._forward_pre_hooks
    with pytest.raises(RuntimeError):
        recorded(lambda: layer(torch.randn(4, 5)), {"layer": layer})
    assert not layer._forward_hooks


def test_networks_name_layers_in_the_order_in_which_they_run() -> None:
    unet = UNet(1, 1, (1, 8, 8), hidden_channels=8, multipliers=(1, 2), num_blocks=2)
    assert list(layers_of(unet)) == ["down 0", "down 1", "middle", "up 1", "up 0"]
    found = recorded(lambda: unet(torch.randn(3, 1, 8, 8), torch.rand(3)), layers_of(unet))
    whole = {name: each for name, each in found.items() if "quarters" not in name}
    assert [each.shape[1] for each in whole.values()] == [8, 16, 16, 16, 8]
    quarters = {name: found[f"{name} in quarters"].unflatten(1, (-1, 4)).mean(2) for name in whole}
    torch.testing.assert_close(quarters, whole, rtol=1e-4, atol=1e-5)  # of equal size, as the sides are even
    mlp = TimeMLP(2, 2, (2,), hidden_channels=8, num_layers=2)
    assert list(layers_of(mlp)) == ["block 1", "block 2", "norm"]
    assert layers_of(nn.Linear(2, 2)) == {}
    assert last_linear(mlp) is mlp.head[-1]
