"""Strokes of a broad brush, as a hand would paint an image that it has in mind: guides for SDEdit.

A stroke begins where the painting differs most from the image, has the one colour that is there, and goes on as long as the
next touch makes the painting more like the image. Such strokes are those of Hertzmann 1998, "Painterly rendering with curved
brush strokes of multiple sizes", doi 10.1145/280814.280951, sec. 2.2.
Differs from the paper: one brush, a small number of strokes, a hand that trembles, and the next touch is the best of eight
instead of the one across the gradient.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.data.batches import seeded_generator

STROKES, TOUCHES = 8, 8  # of a painting; of a stroke, at most
BRUSH = 14  # a side over the radius of the brush: 2 pixels of 28
TREMBLE = 0.35  # standard deviation of a touch's place, in radii


def strokes(unit: Tensor, seed: int) -> Tensor:
    """Paintings of images (N, C, H, W) in [-1, 1], of the same shape, each on a ground of its commonest colour.

    seed: with the place of an image in `unit`, that of its hand.
    """
    painting = Painting(unit.float(), seed)
    for _ in range(STROKES):
        painting.stroke()
    return painting.canvas


class Painting:
    """Paintings of images, all at once: the canvas (N, C, H, W), and where each brush is."""

    def __init__(self, unit: Tensor, seed: int) -> None:
        self.image, self.radius = unit, max(1, min(unit.shape[2:]) // BRUSH)
        ground = unit.flatten(2).median(2).values  # per channel: the commonest where most of the image is ground
        self.canvas = ground[:, :, None, None].expand_as(unit).clone()
        self._hands = [seeded_generator(seed, place, "strokes") for place in range(len(unit))]
        self._disc = disc(self.radius)

    def stroke(self) -> None:
        """One stroke of every painting, of no touch where nothing differs."""
        wrong = self._under_brush((self.image - self.canvas).square().sum(1, keepdim=True))
        place = wrong.flatten(1).argmax(1)
        colour = self._under_brush(self.image).flatten(2).gather(2, self._over_channels(place))[..., None]
        paints = torch.ones(len(place), dtype=torch.bool)
        for touch in range(TOUCHES):
            gain = self._gain(colour).flatten(1)
            if touch:
                near = self._around(place)
                best = gain.gather(1, near).max(1)
                place = near.gather(1, best.indices[:, None])[:, 0]
            paints = paints & (gain.gather(1, place[:, None])[:, 0] > 1e-6)
            self._touch(self._trembling(place), colour, paints)

    def _gain(self, colour: Tensor) -> Tensor:
        """By how much a touch of a colour (N, C, 1, 1) at each place brings the painting nearer to the image, (N, 1, H, W)."""
        before, after = (self.image - self.canvas).square(), (self.image - colour).square()
        return self._under_brush((before - after).sum(1, keepdim=True))

    def _under_brush(self, values: Tensor) -> Tensor:
        """Means (N, C, H, W) over the brush at each place; what is outside counts as 0."""
        channels = values.shape[1]
        kernel = (self._disc / self._disc.sum()).expand(channels, 1, *self._disc.shape)
        return F.conv2d(values, kernel, padding=self.radius, groups=channels)

    def _around(self, place: Tensor) -> Tensor:
        """The eight places (N, 8) one radius away, on the canvas."""
        height, width = self.image.shape[2:]
        angle = torch.arange(8) * (math.pi / 4.0)
        down, across = ((self.radius * part).round().long() for part in (angle.sin(), angle.cos()))
        rows = (place[:, None] // width + down).clamp(0, height - 1)
        return rows * width + (place[:, None] % width + across).clamp(0, width - 1)

    def _trembling(self, place: Tensor) -> Tensor:
        """Rows and columns (N, 2), moved a little."""
        width = self.image.shape[3]
        moves = torch.stack([torch.randn(2, generator=hand) for hand in self._hands])
        return torch.stack([place // width, place % width], 1) + (TREMBLE * self.radius * moves).round().long()

    def _touch(self, at: Tensor, colour: Tensor, paints: Tensor) -> None:
        rows, columns = (torch.arange(size) for size in self.image.shape[2:])
        far = (rows[:, None] - at[:, 0, None, None]).square() + (columns - at[:, 1, None, None]).square()
        wet = (far <= self.radius**2 + self.radius) & paints[:, None, None]
        self.canvas = torch.where(wet[:, None], colour, self.canvas)

    def _over_channels(self, place: Tensor) -> Tensor:
        return place[:, None, None].expand(-1, self.image.shape[1], 1)


def disc(radius: int) -> Tensor:
    """Ones within a brush and zeros around it, (2 r + 1, 2 r + 1): places at a squared distance of at most r (r + 1)."""
    steps = torch.arange(-radius, radius + 1)
    return (steps[:, None].square() + steps.square() <= radius**2 + radius).float()
