"""FLOPs of training: those of `torch.utils.flop_counter`, which are matrix products, convolutions and attention.

A multiply-add counts as two, and element-wise operations are not counted.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.utils.flop_counter import FlopCounterMode

from genarena.spec import Batch
from genarena.training.players import constant, outside
from genarena.training.steps import Steps


class _Whole(nullcontext):
    """Replaces the tracker that attributes FLOPs to modules, whose hooks fail in a loss that calls `autograd.grad`."""

    parents = frozenset({"Global"})


class FlopCounter(FlopCounterMode):
    """Counts the total FLOPs of all operations inside this context."""

    def __init__(self) -> None:
        super().__init__(display=False)
        self.mod_tracker = _Whole()


def uncompiled() -> AbstractContextManager:
    """Inside this context compiled networks run as they were written, because a counter sees nothing in compiled ones."""
    compiles = "torch._dynamo" in sys.modules  # if not, nothing is compiled, and importing it takes a second
    return torch.compiler.set_stance("force_eager") if compiles else nullcontext()


def per_example(model: Steps, batch: Batch) -> float:
    """FLOPs of what the model observes and of the forward and backward passes of one training batch, per example.

    A player that moves in every k-th step counts once per k batches. Parameters, buffers, the random state and the mode of
    the model are the same afterwards; gradients are None. The batch is on the model's device.
    """
    state = [*model.parameters(), *model.buffers()]  # data-dependent starts, statistics, chains, ...
    before, mode = [tensor.detach().clone() for tensor in state], model.training
    devices = [model.device] if model.device.type == "cuda" else []
    model.train()
    try:
        with torch.random.fork_rng(devices), uncompiled():
            return _counted(model, batch) / len(batch.x)
    finally:
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)
        model.zero_grad(set_to_none=True)
        model.train(mode)


def _counted(model: Steps, batch: Batch) -> float:
    with torch.no_grad(), FlopCounter() as observed:
        model.observe(batch)
    total = float(observed.get_total_flops())
    for player in model.players():
        with constant(outside(model, player)):
            total += _descent(lambda player=player: player.loss(batch)["loss"]) / player.every
    return total


def _descent(loss: Callable[[], torch.Tensor]) -> int:
    with torch.enable_grad(), FlopCounter() as counter:
        value = loss()
        if value.requires_grad:
            value.backward()
    return counter.get_total_flops()
