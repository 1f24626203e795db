"""Random numbers of lanes: the same for a lane in every batch, and no others than those of torch's four functions."""

import pytest
import torch

from genarena.tasks.detecting.lanes import Mixed, lanes_of_their_own
from genarena.tasks.noise import Noise


def drawn(keys: list[int]) -> list[torch.Tensor]:
    with lanes_of_their_own(Noise.of([(key,) for key in keys])):
        like = torch.zeros(len(keys), 2, 3, dtype=torch.float64)
        made = [torch.randn(len(keys), 4), torch.rand((len(keys), 2)), torch.randn_like(like), torch.rand_like(like)]
        return [*made, torch.randn(2 * len(keys), 3).unflatten(0, (2, -1)).transpose(0, 1), torch.rand(len(keys))]


def test_a_lane_has_the_same_numbers_in_every_batch() -> None:
    whole, part = drawn([0, 1, 2, 3, 4]), drawn([3, 1])
    for one, other in zip(whole, part, strict=True):
        assert torch.equal(one[[3, 1]], other)
    assert not torch.equal(whole[0][0], whole[0][1])
    assert whole[2].dtype == torch.float64 and whole[3].min() >= 0.0


def test_numbers_are_normal_and_uniform() -> None:
    with lanes_of_their_own(Noise.of([(key,) for key in range(4)])):
        normal, uniform = torch.randn(4, 20_000), torch.rand(4, 20_000)
    assert normal.std().item() == pytest.approx(1.0, abs=0.02) and uniform.mean().item() == pytest.approx(0.5, abs=0.01)


def test_other_sizes_are_refused_and_generators_are_left_alone() -> None:
    with lanes_of_their_own(Noise.of([(0,), (1,)])):
        with pytest.raises(ValueError, match=r"shape \(3, 2\): the first dimension is no multiple of 2 lanes"):
            torch.randn(3, 2)
        own = torch.randn(3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own, torch.randn(3, generator=torch.Generator().manual_seed(0)))


def test_lanes_share_no_random_order() -> None:
    with lanes_of_their_own(Noise.of([(0,)])), pytest.raises(Mixed):
        torch.randperm(4)
    with lanes_of_their_own(Noise.of([(0,)]), single=True):
        assert torch.randperm(50).sort().values.tolist() == list(range(50))
