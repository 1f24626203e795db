"""Arrays of uint8 on disk that are mapped into memory: written completely or not at all, checked whenever they are opened."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genarena.errors import DataError
from genarena.files.atomic import replace_atomically


def write(path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, ...]) -> str:
    """Write the blocks (n, *shape[1:]) one after the other, shape[0] rows at most; returns the sha256 of the pixels.

    Raises DataError if the disk has too little space. Partial files of killed processes are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)
    needed, free = np.prod(shape, dtype=float), shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(
            f"{path} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: set GENARENA_CACHE to a folder "
            "on a larger disk (sets of picture files can also go with data.decode=always)"
        )
    digests: list[str] = []
    replace_atomically(path, lambda temporary: digests.append(_write(temporary, blocks)))
    return digests[0]


def _write(path: Path, blocks: Iterable[np.ndarray]) -> str:
    with open(path, "wb") as file:

        def written() -> Iterator[np.ndarray]:
            for block in blocks:
                file.write(np.ascontiguousarray(block))
                yield block

        return digest(written())


def digest(blocks: Iterable[np.ndarray]) -> str:
    """sha256 of the pixels of all blocks."""
    hasher = hashlib.sha256()
    for block in blocks:
        hasher.update(np.ascontiguousarray(block))
    return hasher.hexdigest()


def read(path: Path, shape: tuple[int, ...], sha256: str) -> Tensor:
    """(N, ...) uint8, mapped from the file copy-on-write. Raises DataError if the file is damaged."""
    if not shape[0]:
        return torch.empty(shape, dtype=torch.uint8)
    if path.stat().st_size == np.prod(shape, dtype=int):
        array = np.memmap(path, np.uint8, "c", shape=shape)
        if digest([array]) == sha256:
            return torch.from_numpy(array)
    raise DataError(f"{path} is damaged: remove it, and it is made again")
