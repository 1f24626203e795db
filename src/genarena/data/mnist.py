"""MNIST (LeCun, Bottou, Bengio & Haffner 1998): 28x28 grey images with 256 levels, in torchvision's folder layout."""

import gzip
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.published_set import PublishedSet
from genarena.errors import DataError
from genarena.files.download import Published

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_files(address: str, *sums: str) -> tuple[Published, ...]:
    """The four gzip files below an address, with their checksums in the order of `NAMES`."""
    return tuple(
        Published(f"{name}.gz", checksum, f"{address}/{name}.gz") for name, checksum in zip(NAMES, sums, strict=True)
    )


class MNIST(PublishedSet):
    """55,000 training, 5,000 validation (the last of the official training file) and the official 10,000 test images."""

    name = "mnist"
    place = "MNIST/raw"
    page = "https://github.com/pytorch/vision (torchvision.datasets.MNIST)"
    num_val_examples: ClassVar[int] = 5_000
    files = idx_files(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    )

    def load(self) -> tuple[Split, Split, Split]:
        train, test = self._pair(0), self._pair(2)
        return train[: -self.num_val_examples], train[-self.num_val_examples :], test

    def load_test(self) -> Split:
        return self._pair(2)

    def _pair(self, first: int) -> Split:
        """Images and labels of two files in a row."""
        x, y = (self._read(published) for published in self.files[first : first + 2])
        return Split(x.unsqueeze(1), y.long())

    def _read(self, published: Published) -> Tensor:
        """IDX format: two zero bytes, the type (8 = uint8), the number of dimensions, big-endian int32 sizes, data.

        The unpacked file is read if the gzip file is missing. Raises DataError for a damaged file.
        """
        path = (self.folder / published.file).with_suffix("")
        if path.is_file() and not (self.folder / published.file).is_file():
            content = path.read_bytes()
        else:
            path = self.obtain(published)
            content = gzip.decompress(path.read_bytes())
        num_axes = content[3] if content[:3] == b"\0\0\x08" else 0
        shape = np.frombuffer(content, ">i4", num_axes, offset=4) if len(content) >= 4 + 4 * num_axes else np.zeros(1)
        if not num_axes or len(content) != 4 + 4 * num_axes + shape.prod(dtype=np.int64):
            raise DataError(f"{path} is damaged (not a complete IDX file): remove it and try again")
        data = np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes).reshape(shape)
        return torch.from_numpy(data.copy())
