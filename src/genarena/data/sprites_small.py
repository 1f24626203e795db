"""Sprites at half the size, on a coarser grid.

3 shapes x 6 scales x 20 orientations x 16 x 16 positions = 92,160 binary images of 32x32. They are drawn as `sprites` are, and
a model sees all of them within minutes. The names of the factors are those of dSprites (Matthey, Higgins, Hassabis & Lerchner
2017); scores on this grid are no scores on dSprites. No download.
"""

from genarena.data.sprites import Sprites


class SpritesSmall(Sprites):
    """Levels 0 and 1, factors as in `Sprites`. Orientation 0 and 2 pi are the same image."""

    name = "sprites_small"
    factor_sizes = {"shape": 3, "scale": 6, "orientation": 20, "x": 16, "y": 16}
    held_out = 4_000, 8_000
    shape = 1, 32, 32
    reach = 7
