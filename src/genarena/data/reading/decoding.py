"""From picture files to uint8 arrays: one decoder for every set of files, in worker processes with a timeout.

What is read may come from anywhere, so only the formats below are parsed, a picture that would unpack into more than
`MAX_PIXELS` is refused on its header, and an error names the file and its place in the split.
"""

import io
import itertools
import math
import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from genarena.data.reading.lazy import Lazy
from genarena.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow knows others, some of which start programs
MAX_PIXELS = 64_000_000
IN_PROCESS = 256  # so few pictures are not worth a worker

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}  # of files that are taken for pictures


@dataclass(frozen=True)
class Sources:
    """Names of pictures below a folder, in the order of a split. A subclass may keep them in something else than files."""

    folder: Path
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Iterable[int]) -> "Sources":
        return replace(self, names=[self.names[index] for index in indices])

    def read(self, index: int) -> bytes:
        return (self.folder / self.names[index]).read_bytes()

    def title(self, index: int) -> str:
        """For errors: where the picture lies, and which one of the split it is."""
        return f"{self.folder / self.names[index]} (picture {index})"

    def stamps(self) -> Iterator[tuple[str, int, int]]:
        """Name, size and time of the last change of every file."""
        for name in self.names:
            status = (self.folder / name).stat()
            yield name, status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Recipe:
    """Which part of a picture is taken, and how it is made `shape` (C, H, W): grey or RGB.

    share: the centred square has this share of the picture's width; None: the largest centred part of the right proportions.
    aspect: width / height that pictures must have, within 2%; None: any.
    """

    shape: tuple[int, int, int]
    share: float | None = None
    aspect: float | None = None
    resampling: str = "bicubic"

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the part, in pixels; the same part whatever size the picture is stored at."""
        if self.share is None:
            scale = min(width / self.shape[2], height / self.shape[1])
            across, down = scale * self.shape[2], scale * self.shape[1]
        else:
            across = down = min(self.share * width, height)
        left, top = (width - across) / 2, (height - down) / 2
        return left, top, left + across, top + down

    def identity(self) -> dict[str, Any]:
        """For the data id."""
        part = "largest centred part" if self.share is None else f"centred square of {self.share:.4f} of the width"
        return {"crop": part, "resize": f"{self.resampling}, antialias"}


def decode(content: bytes, recipe: Recipe) -> np.ndarray:
    """One picture as uint8 (H, W, C). Raises ValueError with the reason when it is damaged, absurdly large or not 8 bits."""
    channels, height, width = recipe.shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _refuse(image, recipe)
                picture = image.convert("L" if channels == 1 else "RGB")
        left, top, right, bottom = recipe.box(*picture.size)
        corner = math.floor(left), math.floor(top)
        picture = picture.crop((*corner, math.ceil(right), math.ceil(bottom)))  # what lies outside has no influence
        box = left - corner[0], top - corner[1], right - corner[0], bottom - corner[1]
        small = picture.resize((width, height), getattr(Image.Resampling, recipe.resampling.upper()), box)
    except UnidentifiedImageError as error:
        raise ValueError(f"none of {', '.join(FORMATS)}") from error
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error
    return np.asarray(small).reshape(height, width, channels)


def _refuse(image: Image.Image, recipe: Recipe) -> None:
    """Raise ValueError for what a header alone tells."""
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS:,} are read")
    if image.mode[0] in "IF":
        raise ValueError(f"{image.mode} pixels, expected 8 bits per channel")
    if recipe.aspect and abs(image.width / image.height / recipe.aspect - 1.0) > 0.02:
        raise ValueError(f"{image.width} x {image.height} pixels are not in proportion {recipe.aspect:.3f}")


Failure = tuple[int, str]  # index and reason


def read(sources: Sources, recipe: Recipe, indices: list[int]) -> tuple[np.ndarray, list[Failure]]:
    """The pictures that can be read (N, C, H, W), and the failures."""
    channels, height, width = recipe.shape
    images, failures = np.empty((len(indices), channels, height, width), np.uint8), []
    for place, index in enumerate(indices):
        try:
            picture = decode(sources.read(index), recipe)
        except (OSError, ValueError) as error:
            failures.append((index, str(error)))
        else:
            images[place - len(failures)] = picture.transpose(2, 0, 1)
    return images[: len(indices) - len(failures)], failures


class Pictures(Lazy):
    """Pictures (N, C, H, W) uint8 that are decoded when they are asked for.

    num_workers: processes; None: one per CPU, at most 8. timeout: seconds that one batch may take them.
    """

    def __init__(self, sources: Sources, recipe: Recipe, num_workers: int | None = None, timeout: float = 60.0) -> None:
        self.index, self.make = torch.arange(len(sources)), self._decode
        self.shape = torch.Size([len(sources), *recipe.shape])
        self.sources, self.recipe, self.timeout = sources, recipe, timeout
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.num_workers = min(8, cpus) if num_workers is None else num_workers

    def _decode(self, index: Tensor) -> Tensor:
        """Here and now. Raises DataError naming the first picture that cannot be read."""
        images, failures = read(self.sources, self.recipe, index.tolist())
        self._raise_for(failures)
        return torch.from_numpy(images)

    def batches(self, indices: Iterable[slice | Tensor]) -> Iterator[Tensor]:
        """The pictures of each index in turn, decoded ahead by the workers. Raises DataError like `attempts`."""
        for images, failures in self.attempts(indices):
            self._raise_for(failures)
            yield images

    def attempts(self, indices: Iterable[slice | Tensor]) -> Iterator[tuple[Tensor, list[Failure]]]:
        """For each index the pictures that can be read, and the failures.

        Raises DataError when a worker dies or takes longer than `timeout`.
        """
        tasks = (self.index[index].tolist() for index in indices)
        if not self.num_workers or len(self) < IN_PROCESS:
            for task in tasks:
                images, failures = read(self.sources, self.recipe, task)
                yield torch.from_numpy(images), failures
            return
        pool = ProcessPoolExecutor(self.num_workers, initializer=_enter_worker, initargs=(self.sources, self.recipe))
        try:
            yield from self._in_order(pool, tasks)
        finally:
            workers = list((pool._processes or {}).values())  # Python 3.14 has kill_workers() for this
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.kill()  # one that is stopped would hold up the end of this process

    def _in_order(
        self, pool: ProcessPoolExecutor, tasks: Iterator[list[int]]
    ) -> Iterator[tuple[Tensor, list[Failure]]]:
        """The results of the tasks, of which two per worker are always under way."""
        ahead = deque((task, pool.submit(_work, task)) for task in itertools.islice(tasks, 2 * self.num_workers))
        while ahead:
            task, result = ahead.popleft()
            first, last = (self.sources.title(task[place]) if task else "nothing" for place in (0, -1))
            try:
                images, failures = result.result(self.timeout)
            except TimeoutError as error:
                raise DataError(
                    f"reading {first} to {last} takes longer than data.timeout={self.timeout:g} s"
                ) from error
            except BrokenProcessPool as error:
                raise DataError(
                    f"a process died while others or itself were reading {first} to {last} (killed by hand, or "
                    "because memory ran out)"
                ) from error
            ahead.extend((task, pool.submit(_work, task)) for task in itertools.islice(tasks, 1))
            yield torch.from_numpy(images), failures

    def _raise_for(self, failures: list[Failure]) -> None:
        for index, reason in failures:
            raise DataError(f"{self.sources.title(index)} cannot be read as a picture: {reason}")


_work_on: tuple[Sources, Recipe]  # of a worker process


def _enter_worker(sources: Sources, recipe: Recipe) -> None:
    """What a worker does first: signals are for its parent, without which it ends."""
    global _work_on
    _work_on = sources, recipe
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _work(indices: list[int]) -> tuple[np.ndarray, list[Failure]]:
    return read(*_work_on, indices)
