"""CIFAR-10 (Krizhevsky 2009): 32x32 colour images with 256 levels, from the published pickles in torchvision's layout."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from genarena.data.batches import Split
from genarena.data.published_set import PublishedSet
from genarena.data.reading.unpickling import load_arrays
from genarena.errors import DataError, UserError
from genarena.files.download import Published


class CIFAR10(PublishedSet):
    """45,000 training, 5,000 validation (the last tenth of the official training files) and the official 10,000 test images.

    Files with fewer rows than the published ones are a part of the set, with a data id of its own.
    flip: training images are mirrored with probability 1/2.
    """

    name = "cifar10"
    inner: ClassVar[str] = "cifar-10-batches-py"
    page = "https://www.cs.toronto.edu/~kriz/cifar.html"
    label: ClassVar[str] = "labels"
    batches: ClassVar[tuple[Published, ...]] = (
        Published("data_batch_1", "c99cafc152244af753f735de768cd75f"),
        Published("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
        Published("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
        Published("data_batch_4", "634d18415352ddfa80567beed471001a"),
        Published("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
        Published("test_batch", "40351d587109b95175f43aff81a1287e"),
    )
    rows: ClassVar[dict[str, int]] = {"train": 10_000, "test": 10_000}  # of each file
    files = (
        Published(
            "cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            170_498_071,
        ),
    )

    flip: bool = False

    def load(self) -> tuple[Split, Split, Split]:
        folder = self.obtain_folder(self.files[0], self.folder / self.inner, self.inner)
        read = [self._read(folder, published) for published in self.batches]
        train = Split(torch.cat([split.x for split in read[:-1]]), torch.cat([split.y for split in read[:-1]]))
        self._count = train.size + read[-1].size
        num_val = train.size // 10
        return train[:-num_val], train[-num_val:], read[-1]

    def location(self) -> Path:
        return self.folder / self.inner

    def part(self) -> str | None:
        whole = self.rows["train"] * (len(self.batches) - 1) + self.rows["test"]
        return None if self._count == whole else f"{self._count}of{whole}"

    def _read(self, folder: Path, published: Published) -> Split:
        path = folder / published.file
        if not path.is_file():
            raise DataError(f"{path} is not there: remove {folder} and try again")
        content = load_arrays(path)
        pixels, labels = content.get("data"), content.get(self.label)
        if not (
            isinstance(pixels, np.ndarray)
            and pixels.dtype == np.uint8
            and pixels.ndim == 2
            and pixels.shape[1] == 3072
            and isinstance(labels, list)
            and len(labels) == len(pixels) > 1
        ):
            raise DataError(f"{path} is damaged: expected `data` (N, 3072) uint8 and N `{self.label}`")
        y = torch.tensor(labels, dtype=torch.long)
        if len(pixels) >= self.rows["test" if published is self.batches[-1] else "train"]:
            self._check(path, published)
        return Split(torch.from_numpy(pixels.reshape(-1, 3, 32, 32).copy()), y)

    def _check(self, path: Path, published: Published) -> None:
        """Raise DataError unless this file, which has the full number of rows, is the published one."""
        try:
            published.check(path)
        except UserError as error:
            raise DataError(f"{error}: remove {path.parent} and try again") from error
