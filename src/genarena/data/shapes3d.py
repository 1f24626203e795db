"""3D Shapes (Burgess & Kim 2018): 480,000 colour pictures of 64x64 of one object in a room, from six factors.

The owner's HDF5 file. Needs `pip install '.[shapes3d]'`.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genarena.data.factor_file import ROWS_AT_ONCE, FactorFile
from genarena.errors import DataError
from genarena.files.download import Published


class Shapes3D(FactorFile):
    """256 levels; kept as pixels, 5.9 GB."""

    name = "shapes3d"
    place = "shapes3d"
    page = "https://github.com/google-deepmind/3d-shapes"
    files = (
        Published(
            "3dshapes.h5",
            "099a2078d58cec4daad0702c55d06868",
            "https://storage.googleapis.com/3d-shapes/3dshapes.h5",
            267_573_662,
        ),
    )
    factor_sizes = {"floor_hue": 10, "wall_hue": 10, "object_hue": 10, "scale": 8, "shape": 4, "orientation": 15}
    held_out = 10_000, 20_000
    shape = 3, 64, 64
    num_levels = 256
    kept = shape

    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        try:
            import h5py
        except ImportError as error:
            raise DataError("shapes3d needs the reader of its file: pip install '.[shapes3d]'") from error
        with h5py.File(path, "r") as file:
            images, labels = file["images"], file["labels"][:]
            if not self._in_order(labels):
                raise DataError(f"{path}: labels are not the combinations of {', '.join(self.factor_sizes)} in order")
            wanted = (len(labels), *self.shape[1:], self.shape[0])
            if images.shape != wanted or images.dtype != np.uint8:
                raise DataError(f"{path}: images are {images.dtype} {images.shape}, expected uint8 {wanted}")
            for first in range(0, len(images), ROWS_AT_ONCE):
                yield np.ascontiguousarray(images[first : first + ROWS_AT_ONCE].transpose(0, 3, 1, 2))

    def _in_order(self, labels: np.ndarray) -> bool:
        """Whether the values (N, K), in increasing order, are those of the grid."""
        ranks = [np.unique(column, return_inverse=True)[1] for column in labels.T]
        return np.array_equal(np.stack(ranks, 1), self.expected())

    def unpacked(self, rows: np.ndarray) -> np.ndarray:
        return rows
