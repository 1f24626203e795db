"""MNIST (LeCun, Bottou, Bengio & Haffner 1998): 28x28 grey images with 256 levels, in torchvision's folder layout."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule, DataError, Split


class MNIST(ArenaDataModule):
    """55,000 training, 5,000 validation (the last of the official training file) and the official 10,000 test images."""

    name = "mnist"
    folder = "MNIST"
    num_val_examples = 5_000
    md5 = {
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    }

    def load(self) -> tuple[Split, Split, Split]:
        raw = Path(self.root) / self.folder / "raw"
        if not all(self._path(raw, name).exists() for name in self.md5):
            self._download(raw)
        train, test = (
            Split(self._read(raw, f"{part}-images-idx3-ubyte").unsqueeze(1),
                  self._read(raw, f"{part}-labels-idx1-ubyte").long())
            for part in ("train", "t10k")
        )  # fmt: skip
        return train[: -self.num_val_examples], train[-self.num_val_examples :], test

    @staticmethod
    def _path(raw: Path, name: str) -> Path:
        """The packed file where it is there, else the unpacked one."""
        packed = raw / f"{name}.gz"
        return packed if packed.exists() else raw / name

    def _download(self, raw: Path) -> None:
        import torchvision  # slow to import, and needed only here

        try:
            getattr(torchvision.datasets, self.folder)(self.root, download=True)
        except (OSError, RuntimeError) as error:
            files = ", ".join(f"{name}.gz" for name in self.md5)
            raise DataError(f"{self.name} is not in {raw} and could not be downloaded ({_first_line(error)}): "
                            f"put {files} there, or point data.root or GENARENA_DATA at a folder that has "
                            f"{self.folder}/raw") from error  # fmt: skip

    def _read(self, raw: Path, name: str) -> Tensor:
        """IDX format: two zero bytes, the type (8 = uint8), the number of dimensions, big-endian int32 sizes, data."""
        path = self._path(raw, name)
        content = path.read_bytes()
        if path.suffix == ".gz":
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != self.md5[name]:
                raise DataError(f"{path} is damaged (its checksum is not the published one): remove it and try again")
            content = gzip.decompress(content)
        num_axes = content[3] if content[:3] == b"\0\0\x08" else 0
        shape = np.frombuffer(content, ">i4", num_axes, offset=4)
        if not num_axes or len(content) != 4 + 4 * num_axes + shape.prod():
            raise DataError(f"{path} is damaged (not a complete IDX file): remove it and try again")
        data = np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes).reshape(shape)
        return torch.from_numpy(data.copy())


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
