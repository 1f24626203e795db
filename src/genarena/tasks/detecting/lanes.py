"""Random numbers that a model draws from torch, replaced by those of lanes: an example's value is the same in every batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from genarena.tasks.noise import Noise

OF_A_SHAPE = {torch.rand: "uniform", torch.randn: "normal"}
LIKE_ANOTHER = {torch.rand_like: "uniform", torch.randn_like: "normal"}


class Mixed(ValueError):
    """A random order of the examples of a batch was asked for: no lane can have one of its own."""


class lanes_of_their_own(TorchFunctionMode):
    """Inside of it `rand`, `randn`, `rand_like` and `randn_like` give every lane numbers of its own stream.

    The first dimension of what is drawn has to be a lane, or a multiple of the lanes: then lane i has the rows i, i + N, ...
    Raises ValueError for another size, and Mixed for `randperm`, unless `single`: then there is one lane, whose it is.
    """

    def __init__(self, noise: Noise, single: bool = False) -> None:
        super().__init__()
        self.noise, self.single = noise, single

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func in LIKE_ANOTHER:
            like = args[0]
            return self._drawn(LIKE_ANOTHER[func], like.shape, kwargs.get("dtype") or like.dtype, like.device)
        if func in OF_A_SHAPE and kwargs.get("generator") is None:
            shape = kwargs.get("size", args[0] if len(args) == 1 and not isinstance(args[0], int) else args)
            return self._drawn(OF_A_SHAPE[func], shape, kwargs.get("dtype") or torch.float32, kwargs.get("device"))
        if func is torch.randperm and kwargs.get("generator") is None:
            if not self.single:
                raise Mixed(f"{len(self.noise)} lanes cannot share a random order")
            order = self.noise.uniform(torch.empty(1, args[0], dtype=torch.float64)).flatten().argsort()
            return order.to(kwargs.get("device") or "cpu")
        return func(*args, **kwargs)

    def _drawn(self, kind: str, shape: Any, dtype: torch.dtype, device: Any) -> Tensor:
        num, rest = len(self.noise), tuple(shape)[1:]
        if not len(shape) or shape[0] % num:
            raise ValueError(
                f"random numbers of shape {tuple(shape)}: the first dimension is no multiple of {num} lanes"
            )
        like = torch.empty(num, *rest, dtype=dtype)
        parts = [getattr(self.noise, kind)(like) for _ in range(shape[0] // num)]
        return torch.cat(parts).to(device or "cpu")
