"""What building a stranger's model may cost: a share of tensors and operations that goes with the size of its weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genarena.errors import Untrusted

UNKNOWN = 1_000_000_000  # elements of a model whose run has no weights yet
FREE = 50_000_000  # elements that any model may make: a schedule of a million steps, masks, buffers
TIMES = 16  # as many elements as the checkpoint holds: weights, their first values, copies for averages
PER_OPERATION = 1_000  # elements that an operation counts for, so that a hundred million small ones end too


@contextmanager
def bounded(checkpoint: Path | None) -> Iterator[None]:
    """Raise Untrusted when more is built inside than a model with weights of this file's size can need.

    checkpoint: None for a run that has no weights yet.
    """
    if checkpoint is None:
        elements, weights = UNKNOWN, "its run has none yet; start it anew"
    else:
        size = os.path.getsize(checkpoint)
        elements, weights = FREE + TIMES * size // 4, f"{checkpoint}, {size:,} bytes"  # four bytes are one float
    with _Counter(elements, weights):
        yield


class _Counter(TorchDispatchMode):
    """Counts the elements of every tensor that is made; a tensor that would be too large is not made."""

    def __init__(self, elements: int, weights: str) -> None:
        super().__init__()
        self.left, self.weights = elements, weights

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "device" in kwargs:  # a new tensor: a tensor without storage tells its size
            self._count(func(*args, **(kwargs | {"device": torch.device("meta")})))
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        self._count(result)
        return result

    def _count(self, result: Any) -> None:
        self.left -= PER_OPERATION + (result.numel() if isinstance(result, torch.Tensor) else 0)
        if self.left < 0:
            raise Untrusted(f"the configuration asks for a model far larger than its weights ({self.weights})")
