"""What building a stranger's model may cost: a share of tensors and operations that goes with the size of its weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genarena.errors import Untrusted

FREE = 50_000_000  # elements that any model may make: a schedule of a million steps, masks, buffers
TIMES = 16  # as many elements as the checkpoint holds: weights, their first values, copies for averages
PER_OPERATION = 1_000  # elements that an operation counts for, so that a hundred million small ones end too


@contextmanager
def bounded(checkpoint: Path) -> Iterator[None]:
    """Raise Untrusted when more is built inside than a model with weights of this file's size can need."""
    elements = FREE + TIMES * os.path.getsize(checkpoint) // 4  # four bytes are one float
    with _Counter(elements, checkpoint):
        yield


class _Counter(TorchDispatchMode):
    """Counts the elements of every tensor that is made; a tensor that would be too large is not made."""

    def __init__(self, elements: int, checkpoint: Path) -> None:
        super().__init__()
        self.left, self.checkpoint = elements, checkpoint

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
            raise Untrusted(
                f"the configuration asks for a model far larger than its weights ({self.checkpoint}, "
                f"{os.path.getsize(self.checkpoint):,} bytes)"
            )
