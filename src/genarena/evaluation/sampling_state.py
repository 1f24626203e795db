"""What `sample` needs: the numbers of the model that it reads. A discriminator or an encoder may not be among them."""

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
    """The tensors of the model that a call of `sample` reads, also if only a part of them or the shape: those of the state dict
    by their name there, and others that a module keeps, so that examples are counted wherever they are stored."""
    with torch.no_grad(), _Reads() as reads:
        sample()
    state = {**_kept(model), **model.state_dict(keep_vars=True)}
    return {name: tensor for name, tensor in state.items() if tensor.numel() and _storage(tensor) in reads.storages}


def _kept(model: nn.Module) -> dict[str, Tensor]:
    """Tensors that are no part of the state dict: attributes, also in lists and dicts, and buffers that are not saved."""
    found = {}
    for path, module in model.named_modules():
        own = {name: value for name, value in vars(module).items() if name not in ("_modules", "_parameters")}
        leaves = [leaf for leaf in tree_leaves(own) if isinstance(leaf, Tensor)]
        found |= {f"{path}.{index} of {type(module).__name__}": leaf for index, leaf in enumerate(leaves)}
    return found


def sizes(model: nn.Module, sample: Callable[[], object]) -> dict[str, int]:
    """`generator_parameters`: parameters that `sample` reads. `sampling_state`: these and the buffers that it reads: chains,
    stored examples, statistics. Both are numbers of numbers; a tensor of two names counts once."""
    tensors = {_storage(tensor): tensor for tensor in read(model, sample).values()}.values()
    weights = sum(tensor.numel() for tensor in tensors if isinstance(tensor, nn.Parameter))
    return {"generator_parameters": weights, "sampling_state": sum(tensor.numel() for tensor in tensors)}


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
