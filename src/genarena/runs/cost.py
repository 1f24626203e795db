"""Limits the memory and time for building a model from a foreign configuration, in proportion to the size of its weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genarena.errors import Untrusted

UNKNOWN = 1_000_000_000  # allowed elements if the run has no weights yet
FREE = 50_000_000  # elements allowed for every model: noise schedules, masks, buffers
TIMES = 16  # allowed elements per element of the checkpoint: weights, their initialisation, averaged copies
PER_OPERATION = 1_000  # elements counted per operation, so that endless small operations are stopped too


@contextmanager
def bounded(checkpoint: Path | None) -> Iterator[None]:
    """Raise Untrusted if the block creates more tensor elements than a model with weights of this file's size needs.

    checkpoint: None for a run that has no weights yet.
    """
    if checkpoint is None:
        elements, weights = UNKNOWN, "its run has none yet; start it anew"
    else:
        size = os.path.getsize(checkpoint)
        elements, weights = FREE + TIMES * size // 4, f"{checkpoint}, {size:,} bytes"  # four bytes per float
    with _Counter(elements, weights):
        yield


class _Counter(TorchDispatchMode):
    """Counts the elements of all new tensors. Raises Untrusted before a tensor that exceeds the limit is allocated."""

    def __init__(self, elements: int, weights: str) -> None:
        super().__init__()
        self.left, self.weights = elements, weights

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "device" in kwargs:  # a new tensor: first make it on `meta`, without storage, to count its elements
            self._count(func(*args, **(kwargs | {"device": torch.device("meta")})))
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        self._count(result)
        return result

    def _count(self, result: Any) -> None:
        self.left -= PER_OPERATION + (result.numel() if isinstance(result, torch.Tensor) else 0)
        if self.left < 0:
            raise Untrusted(f"the configuration asks for a model far larger than its weights ({self.weights})")
