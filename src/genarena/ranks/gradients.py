"""The mean of gradients over the processes of one run."""

import sys
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genarena.ranks import world

BUCKET = 2**24  # gradient elements that are sent together


def is_sharded(tensor: Any) -> bool:
    """Whether it is a `DTensor`, a tensor with parts on several ranks. False if that type has not been imported."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the ranks. A parameter without a gradient on any rank gets none.

    Sharded parameters are skipped, because FSDP averages their gradients.
    """
    wanted = [parameter for parameter in parameters if parameter.requires_grad and not is_sharded(parameter)]
    if not world.joined() or not wanted:
        return
    used = torch.tensor(
        [parameter.grad is not None for parameter in wanted], dtype=torch.int32, device=wanted[0].device
    )
    dist.all_reduce(used, dist.ReduceOp.MAX)
    wanted = [parameter for parameter, found in zip(wanted, used.tolist(), strict=True) if found]
    for parameter in wanted:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    pending = []
    for bucket in _buckets([parameter.grad for parameter in wanted]):
        flat = torch.cat([gradient.flatten() for gradient in bucket]).div_(world.size())
        pending.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, done in pending:
        done.wait()
        parts = flat.split([gradient.numel() for gradient in bucket])
        torch._foreach_copy_(bucket, [part.view_as(g) for part, g in zip(parts, bucket, strict=True)])


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Groups of consecutive tensors of one type, with about `BUCKET` elements each."""
    buckets: list[list[Tensor]] = []
    room = 0
    for tensor in tensors:
        if room < tensor.numel() or buckets[-1][0].dtype != tensor.dtype:
            buckets.append([])
            room = max(BUCKET, tensor.numel())
        buckets[-1].append(tensor)
        room -= tensor.numel()
    return buckets
