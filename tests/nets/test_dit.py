"""The diffusion transformer: sizes of the paper, and what adaLN-Zero starts as."""

import pytest
import torch

from genarena.nets.dit import DiT, DiTBlock, positions


@pytest.mark.parametrize(
    ("sizes", "millions"),
    [((384, 12, 6), 33.0), ((768, 12, 12), 130.5), ((1024, 24, 16), 458.1), ((1152, 28, 16), 675.1)],
)
def test_sizes_are_those_of_the_paper(sizes: tuple[int, int, int], millions: float) -> None:
    """S/2, B/2, L/2 and XL/2 on codes of 32x32x4, with 1,000 classes and the null class, and a learned variance."""
    with torch.device("meta"):
        network = DiT(4, 8, (4, 32, 32), 1001, False, 1, *sizes, patch=2)
    count = sum(p.numel() for p in network.parameters()) + network.position.numel()  # theirs are a frozen parameter
    assert round(count / 1e6, 1) == millions


def small(**options: object) -> DiT:
    torch.manual_seed(0)
    return DiT(2, 3, (2, 6, 4), 5, hidden_channels=8, num_blocks=2, num_heads=2, patch=2, **options)


def test_it_starts_as_zero_and_each_block_as_the_identity() -> None:
    network, x = small(), torch.randn(3, 6, 8)
    assert not network(torch.randn(3, 2, 6, 4), torch.rand(3), torch.eye(5)[:3]).any()
    for block in network.blocks:
        assert isinstance(block, DiTBlock) and torch.equal(block(x, torch.randn(3, 8)), x)


def test_time_and_context_reach_the_output_after_three_steps() -> None:
    """Gradients reach the head first, then the modulation of the head, then what is in front of it."""
    network = small()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    x, t, context = torch.randn(4, 2, 6, 4), torch.rand(4), torch.eye(5)[:4]
    for _ in range(3):
        optimizer.zero_grad()
        (network(x, t, context) - torch.randn(4, 3, 6, 4)).square().mean().backward()
        optimizer.step()
    out = network(x, t, context)
    assert not torch.equal(network(x, t.flip(0), context), out)
    assert not torch.equal(network(x, t, context.flip(0)), out)


def test_positions_tell_every_token_apart_and_shift_by_rotations() -> None:
    """Each axis has half of the features, and its inner products depend on the distance only."""
    table = positions(5, 7, 16).view(5, 7, 16)
    flat = table.flatten(0, 1)
    assert (torch.cdist(flat, flat) + torch.eye(35)).min() > 0.1
    assert torch.equal(table[:, 3, :8], table[:1, 3, :8].expand(5, 8)), "the column alone"
    assert torch.equal(table[2, :, 8:], table[2, :1, 8:].expand(7, 8)), "the row alone"
    along = table[0, :, :8] @ table[0, :, :8].T
    torch.testing.assert_close(along[1:, 1:], along[:-1, :-1])


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_channels=10: expected a multiple of 4"):
        DiT(1, 1, (1, 8, 8), hidden_channels=10)
    with pytest.raises(ValueError, match="hidden_channels=12: expected a multiple of num_heads=5"):
        DiT(1, 1, (1, 8, 8), hidden_channels=12, num_heads=5)
    with pytest.raises(ValueError, match=r"dit: shape=\(2,\): this network is for images"):
        DiT(2, 2, (2,))
