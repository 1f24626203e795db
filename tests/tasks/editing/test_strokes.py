"""Strokes: of few colours, near to the image, each image's own, and never worse than the bare ground."""

import torch
from torch import Tensor

from genarena.tasks.editing.strokes import STROKES, disc, strokes


def images() -> Tensor:
    """Coloured bars on a ground."""
    x = torch.full((3, 3, 28, 28), -0.8)
    x[0, 0, 4:24, 12:16] = 1.0
    x[1, 1, 10:15, 3:25] = 0.5
    x[2, :, 6:22, 6:9] = 0.2
    return x


def test_a_brush_is_round() -> None:
    assert disc(1).tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert disc(2).sum() == 21 and torch.equal(disc(4), disc(4).flip(0)) and disc(4)[0, 0] == 0


def test_paintings_are_rough_but_alike() -> None:
    x = images()
    found = strokes(x, seed=0)
    ground = torch.full_like(x, -0.8)
    for image, painted, bare in zip(x, found, ground, strict=True):
        assert (image - painted).square().mean() < 0.6 * (image - bare).square().mean()
        assert 2 <= len(painted.flatten(1).T.unique(dim=0)) <= STROKES + 1  # a colour for each stroke, and the ground
        assert not torch.equal(image, painted)
    assert (found[0, 1:] == -0.8).all()  # the red bar is painted red


def test_a_hand_belongs_to_an_image_and_a_seed() -> None:
    x = images()
    assert torch.equal(strokes(x, 0)[:2], strokes(x[:2], 0))
    assert not torch.equal(strokes(x, 0), strokes(x, 1))
    empty = torch.full((2, 1, 8, 8), -1.0)
    assert torch.equal(strokes(empty, 0), empty)
