"""ImageNet at 64x64, in its two published downsamplings. Scores on the two differ, and they have different data ids.

- `oord`: van den Oord et al. 2016 (arXiv 1601.06759), folders of PNG files `train_64x64` and `valid_64x64`, no labels. Most
  published bits/dim are on this one; the owner's server no longer has it.
- `box` (also `lanczos`, `bicubic`, ... of the same authors): Chrabaszcz et al. 2017 (arXiv 1707.08819), .npz files
  `train_data_batch_1 .. 10` and `val_data`, with labels.
"""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.picture_set import Listing, PictureSet
from genarena.data.reading import mapped
from genarena.data.reading.folders import picture_names
from genarena.data.reading.pictures import Sources
from genarena.data.splitting import seeded_split
from genarena.errors import DataError
from genarena.files.atomic import replace_atomically
from genarena.files.boundary import reading
from genarena.files.cache import alone, writable_cache

COUNTS = {"oord": 1_281_149 + 49_999, "box": 1_281_167 + 50_000}
FILTERS = ("box", "bicubic", "bilinear", "hamming", "lanczos", "nearest")
NUM_BATCHES, NUM_VAL, NUM_CLASSES = 10, 10_000, 1_000
MAX_ROWS = 200_000  # of one file


class ImageNet64(PictureSet):
    """Validation: 10,000 of the training images (at most a tenth). Test: the official validation images.

    The validation images of `oord` are drawn with a fixed seed. The arrays are in random order already; their last images
    are taken.

    downsampling: the folder `<root>/imagenet64/<downsampling>`. With fewer images than published, it is a part of the set.
    """

    name = "imagenet64"
    size: ClassVar[int] = 64
    page: ClassVar[str] = "https://image-net.org/download-images (downsampled images; needs an account)"

    downsampling: str = "box"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.downsampling not in ("oord", *FILTERS):
            raise DataError(f"data.downsampling={self.downsampling}: expected oord, {', '.join(FILTERS)}")

    @property
    def folder(self) -> Path:
        return Path(self.root) / self.name / self.downsampling

    def location(self) -> Path:
        return self.folder

    def load(self) -> tuple[Split, Split, Split]:
        if self.downsampling == "oord":
            return super().load()
        whole = self._arrays([f"train_data_batch_{number}.npz" for number in range(1, NUM_BATCHES + 1)])
        test = self._arrays(["val_data.npz"])
        self._count = whole.size + test.size
        self.spec = replace(self.spec, num_classes=NUM_CLASSES)
        num_val = min(NUM_VAL, whole.size // 10)
        return whole[:-num_val], whole[-num_val:], test

    def listings(self) -> tuple[Listing, Listing, Listing]:
        found = [self._pictures(f"{part}_{self.size}x{self.size}") for part in ("train", "valid")]
        self._count = sum(listing.size for listing in found)
        train, val, _ = seeded_split(found[0], val=min(NUM_VAL, found[0].size // 10), test=0)
        return train, val, found[1]

    def part(self) -> str:
        whole = COUNTS.get(self.downsampling, COUNTS["box"])
        return self.downsampling if self._count == whole else f"{self.downsampling}-{self._count}of{whole}"

    def identity(self) -> dict[str, Any]:
        return super().identity() if self.downsampling == "oord" else {}

    def _pictures(self, inner: str) -> Listing:
        folder = self.folder / inner
        names = picture_names(folder)
        if len(names) < 10:
            raise DataError(
                f"{folder}: {len(names)} pictures, 10 are needed; put the PNG files of {inner}.tar there, or point "
                f"data.root at a folder that has {self.name}/{self.downsampling}"
            )
        return Listing(Sources(folder, names))

    def _arrays(self, files: list[str]) -> Split:
        """The images of .npz files, from a cached array that is mapped into memory. It is written at the first use."""
        paths = [self.folder / name for name in files if (self.folder / name).is_file()]
        if not paths:
            raise DataError(
                f"{self.name} is not in {self.folder}: put {', '.join(files)} there, from {self.page}, or point "
                f"data.root at a folder that has {self.name}/{self.downsampling}"
            )
        labels = [self._labels(path) for path in paths]
        y = torch.cat(labels)
        shape = len(y), 3, self.size, self.size
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        key = hashlib.sha256(repr((stamps, shape)).encode()).hexdigest()[:32]
        pixels = writable_cache("pictures", self.name) / f"{key}.u8"
        digest = pixels.with_suffix(".sha256")
        with alone(pixels.with_suffix(".lock")):
            if not (pixels.is_file() and digest.is_file()):
                blocks = (self._images(path, len(rows)) for path, rows in zip(paths, labels, strict=True))
                written = mapped.write(pixels, blocks, shape)
                replace_atomically(digest, lambda temporary: temporary.write_text(written))
        return Split(mapped.read(pixels, shape, digest.read_text()), y)

    def _labels(self, path: Path) -> Tensor:
        """(N,) int64, 0 .. 999; the file has 1 .. 1000. Raises DataError for other labels."""
        y = torch.from_numpy(self._array(path, "labels").astype(np.int64).reshape(-1)) - 1
        if not len(y) or y.min() < 0 or y.max() >= NUM_CLASSES:
            raise DataError(f"{path} is damaged: its labels are not 1 to {NUM_CLASSES}")
        return y

    def _images(self, path: Path, count: int) -> np.ndarray:
        """(count, 3, H, W) uint8."""
        array = self._array(path, "data")
        if array.dtype != np.uint8 or array.shape != (count, 3 * self.size**2):
            raise DataError(
                f"{path}: its images are {array.dtype} {array.shape}, expected uint8 {count, 3 * self.size**2}"
            )
        return array.reshape(count, 3, self.size, self.size)

    def _array(self, path: Path, name: str) -> np.ndarray:
        """One array of numbers of a file, without unpickling. Raises DataError for one that is larger than possible."""
        with reading(path, "the published arrays"):
            with zipfile.ZipFile(path) as archive:
                size = archive.getinfo(f"{name}.npy").file_size
            if size > MAX_ROWS * 3 * self.size**2 + 10_000:
                raise ValueError(f"{name} claims {size:,} bytes")
            with np.load(path, allow_pickle=False) as arrays:
                array = arrays[name]
            if not (isinstance(array, np.ndarray) and array.dtype.kind in "uif"):
                raise ValueError(f"{name} is no array of numbers")
        return array
