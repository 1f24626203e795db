"""Models whose weights are left as the memory was: for what depends on their sizes alone, in a tenth of the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

FILLS = [name for name in vars(torch.nn.init) if name.endswith("_") and not name.startswith("_")]


@contextmanager
def unfilled() -> Iterator[None]:
    """Inside it `torch.nn.init` fills no tensor."""
    with pytest.MonkeyPatch.context() as patch:
        for name in FILLS:
            patch.setattr(torch.nn.init, name, _untouched)
        yield


def _untouched(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return tensor
