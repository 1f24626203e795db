"""Range coding with an autoregressive model (Martin 1979; Pasco 1976): -log2 p(x) bits, rounded up to a whole word.

Encoder and decoder make the same sequential pass, `Factorises.traverse` with its caches, over the same chunks of images.
The encoder knows the images and could run the network on all dimensions at once. But then floating-point sums would have
another order, and a single different rounding would make everything after it undecodable.
"""

from contextlib import closing

import numpy as np
import torch
from constriction import stream
from torch import Tensor

from genarena.compression.coder import TABLES, Coder, decoded, table
from genarena.distributions import PixelDistribution
from genarena.files.progress import Bars
from genarena.models.capabilities import Factorises
from genarena.models.keeping import Choose

CHUNK = 512  # images traversed together; part of the file format


class RangeCoder(Coder):
    """All images of a chunk side by side: dimension by dimension, and image by image within a dimension."""

    name = "range coding"

    def __init__(self, model: Factorises) -> None:
        self.model = model

    def encode(self, x: Tensor, bars: Bars) -> np.ndarray:
        encoder = stream.queue.RangeEncoder()
        for part in x.split(CHUNK):
            self._encode_chunk(encoder, part, bars)
        return encoder.get_compressed()

    def _encode_chunk(self, encoder: stream.queue.RangeEncoder, x: Tensor, bars: Bars) -> None:
        def choose(distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
            levels = x[:, channel, row, column]
            encoder.encode(levels.to("cpu", torch.int32).numpy(), TABLES, table(distribution))
            return levels

        self._traverse(len(x), choose, bars, "encode")

    def decode(self, words: np.ndarray, num_images: int, bars: Bars) -> Tensor:
        decoder = stream.queue.RangeDecoder(words)

        def choose(distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
            levels = decoded(decoder, TABLES, table(distribution))
            return torch.from_numpy(levels).to(self.model.device, self.model.spec.dtype)

        sizes = [min(CHUNK, num_images - first) for first in range(0, num_images, CHUNK)]
        return torch.cat([self._traverse(size, choose, bars, "decode").cpu() for size in sizes])

    def _traverse(self, num_images: int, choose: Choose, bars: Bars, verb: str) -> Tensor:
        num_dims = self.model.spec.num_dims
        with closing(bars.track(range(num_dims), f"{verb}, {num_images} images at once")) as steps:

            def step(distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
                next(steps)
                return choose(distribution, channel=channel, row=row, column=column)

            return self.model.traverse(num_images, step)
