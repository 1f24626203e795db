"""dSprites (Matthey, Higgins, Hassabis & Lerchner 2017): 737,280 binary images of 64x64 from five factors, the owner's file.

The colour, a sixth factor in the file, is white everywhere and is left out. `sprites` draws the same factors from formulas.
"""

import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np

from genarena.data.factor_file import ROWS_AT_ONCE, FactorFile
from genarena.data.sprites import FACTORS
from genarena.errors import DataError
from genarena.files.download import Published

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"


class DSprites(FactorFile):
    """Levels 0 and 1. Kept with a bit per pixel, 0.4 GB. Orientation 0 and 2 pi are the same image."""

    name = "dsprites"
    place = "dsprites"
    page = "https://github.com/google-deepmind/dsprites-dataset"
    files = (Published(FILE, "7da33b31b13a06f4b04a70402ce90c2e", f"{page}/raw/master/{FILE}"),)
    factor_sizes = FACTORS
    held_out = 10_000, 20_000
    shape = 1, 64, 64
    num_levels = 2
    kept = (512,)

    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        with np.load(path) as arrays:
            classes = arrays["latents_classes"]
        if classes.shape[1:] != (6,) or not np.array_equal(classes[:, 1:], self.expected()):
            raise DataError(
                f"{path}: latents_classes are not the combinations of {', '.join(self.factor_sizes)} in order"
            )
        size = prod(self.shape)
        with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as file:
            np.lib.format.read_magic(file)
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
            if shape != (len(classes), *self.shape[1:]) or kind != np.uint8:
                raise DataError(f"{path}: imgs are {kind} {shape}, expected uint8 {(len(classes), *self.shape[1:])}")
            while content := file.read(ROWS_AT_ONCE * size):
                yield np.packbits(np.frombuffer(content, np.uint8).reshape(-1, size), axis=1)

    def unpacked(self, rows: np.ndarray) -> np.ndarray:
        return np.unpackbits(rows, axis=1).reshape(-1, *self.shape)
