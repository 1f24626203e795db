"""What `sample` needs: the saved numbers that it reads. A discriminator or an encoder may not be among them."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

PATIENCE = 20.0  # seconds


class _Reads(TorchDispatchMode):
    """Notes the storages of all arguments of operations. Raises TimeoutError after `PATIENCE` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: set[int] = set()
        self._end = time.monotonic() + PATIENCE

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operation imports the compiler, which takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if time.monotonic() > self._end:
            raise TimeoutError(f"one sample takes more than {PATIENCE:g} s to follow")
        self.storages |= {_storage(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        return func(*args, **(kwargs or {}))


def read(model: nn.Module, sample: Callable[[], object]) -> dict[str, Tensor]:
    """The entries of the model's state dict that a call of `sample` reads, also if only a part of them or the shape."""
    with torch.no_grad(), _Reads() as reads:
        sample()
    state = {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if tensor.numel()}
    return {name: tensor for name, tensor in state.items() if _storage(tensor) in reads.storages}


def sizes(model: nn.Module, sample: Callable[[], object]) -> dict[str, int]:
    """`generator_parameters`: parameters that `sample` reads. `sampling_state`: these and the buffers that it reads: chains,
    stored examples, statistics. Both are numbers of numbers; a tensor of two names counts once."""
    tensors = {_storage(tensor): tensor for tensor in read(model, sample).values()}.values()
    weights = sum(tensor.numel() for tensor in tensors if isinstance(tensor, nn.Parameter))
    return {"generator_parameters": weights, "sampling_state": sum(tensor.numel() for tensor in tensors)}


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
