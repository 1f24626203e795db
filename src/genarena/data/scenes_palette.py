"""Scenes as symbols: one of 8 colours for each pixel, so that log p(scene | caption) is that of the scene itself.

Pictures, captions, splits and the judge are those of `scenes`. A pixel is one symbol of 3 bits in place of three bytes: 1,024
symbols in all, which autoregressive models and masked diffusion read and draw as they are.
"""

import numpy as np
from torch import Tensor

from genarena.data.scenery import things
from genarena.data.scenery.drawing import PALETTE, draw
from genarena.data.scenes import Scenes
from genarena.errors import DataError


class ScenesPalette(Scenes):
    """Images (1, 32, 32) of 8 levels: 0 is the background, then the colours in the order of `things.COLOURS`."""

    name = "scenes_palette"
    shape, num_levels = (1, things.SIDE, things.SIDE), len(PALETTE)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spec.palette is None or (np.array(self.spec.palette) != PALETTE).any():
            raise DataError(f"data.spec.palette: expected {PALETTE.tolist()}, the colours of the scenes")

    def draw(self, objects: np.ndarray) -> Tensor:
        return draw(objects, np.arange(len(PALETTE), dtype=np.uint8)[:, None])
