"""Many pictures: their sources, and their decoding in worker processes with a timeout. Errors name file and position."""

import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genarena.data.reading.decoding import MAX_PIXELS, Fitting, decode
from genarena.data.reading.lazy import Lazy
from genarena.errors import DataError
from genarena.files.boundary import first_line
from genarena.files.regular import read_regular

IN_PROCESS = 256  # fewer pictures than this are decoded without workers
MAX_BYTES = 4 * MAX_PIXELS + 2**20  # of one file: the largest picture, uncompressed


@dataclass(frozen=True)
class Sources:
    """Names of pictures below a folder, in the order of a split. Subclasses read from tables, databases or shards."""

    folder: Path
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Iterable[int]) -> "Sources":
        return replace(self, names=[self.names[index] for index in indices])

    def read(self, index: int) -> bytes:
        return read_regular(self.folder / self.names[index], MAX_BYTES)

    def title(self, index: int) -> str:
        """For errors: the picture's path, and its position in the split."""
        return f"{self.folder / self.names[index]} (picture {index})"

    def stamps(self) -> Iterator[tuple[str, int, int]]:
        """Name, size and time of the last change of every file; -1 for a missing file (a dangling link)."""
        for name in self.names:
            try:
                status = (self.folder / name).stat()
                yield name, status.st_size, status.st_mtime_ns
            except OSError:
                yield name, -1, -1


Failure = tuple[int, str]  # index and reason


def read(sources: Sources, recipe: Fitting, indices: list[int]) -> tuple[np.ndarray, list[Failure]]:
    """The pictures that can be read (N, C, H, W), and the failures."""
    channels, height, width = recipe.shape
    images, failures = np.empty((len(indices), channels, height, width), np.uint8), []
    for place, index in enumerate(indices):
        try:
            picture = decode(sources.read(index), recipe)
        except (OSError, ValueError) as error:
            failures.append((index, first_line(error)))
        else:
            images[place - len(failures)] = picture.transpose(2, 0, 1)
    return images[: len(indices) - len(failures)], failures


class Pictures(Lazy):
    """Pictures (N, C, H, W) uint8 that are decoded when they are indexed.

    num_workers: processes; None: one per CPU, at most 8. timeout: seconds to wait for one batch.
    """

    def __init__(
        self, sources: Sources, recipe: Fitting, num_workers: int | None = None, timeout: float = 60.0
    ) -> None:
        self.index, self.make = torch.arange(len(sources)), self._decode
        self.shape = torch.Size([len(sources), *recipe.shape])
        self.sources, self.recipe, self.timeout = sources, recipe, timeout
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.num_workers = min(8, cpus) if num_workers is None else num_workers

    def _decode(self, index: Tensor) -> Tensor:
        """Decode in this process. Raises DataError that names the first picture that cannot be read."""
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

        Raises DataError if a worker dies or takes longer than `timeout`.
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
                worker.kill()  # a stopped worker would keep this process from ending

    def _in_order(
        self, pool: ProcessPoolExecutor, tasks: Iterator[list[int]]
    ) -> Iterator[tuple[Tensor, list[Failure]]]:
        """The results of the tasks, in order; two tasks per worker are always submitted."""
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


_work_on: tuple[Sources, Fitting]  # set in each worker process


def _enter_worker(sources: Sources, recipe: Fitting) -> None:
    """Start of a worker: it ignores signals, which are for its parent, and ends when the parent does."""
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
