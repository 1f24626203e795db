"""Communication between the processes of one run. With a single process every function returns at once.

An error inside `from_zero` or `spread` is raised on all ranks, so that no rank waits for one that has failed.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genarena.ranks import world

Result = TypeVar("Result")
Item = TypeVar("Item")


def gathered(value: Item) -> list[Item]:
    """The values of all ranks, in the order of the ranks; on every rank."""
    if not world.joined():
        return [value]
    values: list[Any] = [None] * world.size()
    dist.all_gather_object(values, value)
    return values


def from_zero(work: Callable[[], Result]) -> Result:
    """The result of `work`, done by rank 0 alone while the others wait. Its error is raised on every rank."""
    if not world.joined():
        return work()
    outcome = [_attempted(work) if world.rank() == 0 else None]
    dist.broadcast_object_list(outcome, src=0)
    return _opened(outcome[0])


def zero_first(work: Callable[[], Result]) -> Result:
    """Every rank does the work, rank 0 first: it may download or write files that the others then find."""
    if not world.joined():
        return work()
    mine = _attempted(work) if world.rank() == 0 else None
    first = [mine[1] if mine else None]
    dist.broadcast_object_list(first, src=0)
    if first[0] is not None:
        raise first[0]
    mine = mine or _attempted(work)
    for _, error in gathered((None, mine[1])):
        if error is not None:
            raise error
    return mine[0]


def spread(work: Callable[[Item], Result], items: Sequence[Item], track: Callable = iter) -> list[Result]:
    """`[work(item) for item in items]`: each item is done by one rank, and all ranks get all results or the error.

    track: shows the progress over the items of this rank.
    """
    if not world.joined():
        return [work(item) for item in track(items)]
    own = items[world.rank() :: world.size()]
    mine = _attempted(lambda: [work(item) for item in track(own)])
    parts = [_opened(outcome) for outcome in gathered(mine)]
    return [parts[index % world.size()][index // world.size()] for index in range(len(items))]


def any_rank(flag: bool) -> bool:
    """Whether `flag` is true on some rank."""
    return largest(float(flag)) > 0


def largest(value: float) -> float:
    """The largest of the values of all ranks."""
    return _reduced(value, dist.ReduceOp.MAX) if world.joined() else value


def total(value: float) -> float:
    """The sum over all ranks."""
    return _reduced(value, dist.ReduceOp.SUM) if world.joined() else value


def _reduced(value: float, operation: Any) -> float:
    tensor = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(tensor, operation)
    return tensor.item()


def mean(x: Tensor) -> Tensor:
    """The mean of a tensor over all ranks. It equals the mean over the batch, because the ranks' shares are equal."""
    if not world.joined():
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / world.size()


def whole_batch(x: Tensor) -> Tensor:
    """The whole batch (N * size(), *), from the shares x (N, *) of all ranks; rank r has rows r, r + size(), ..."""
    if not world.joined():
        return x
    parts = [torch.empty_like(x) for _ in range(world.size())]
    dist.all_gather(parts, x.contiguous())
    return torch.stack(parts, 1).flatten(0, 1)


def same_state(model: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    if not world.joined():
        return
    for tensor in [value for value in model.state_dict().values() if value.numel()]:
        flat = tensor.contiguous().flatten()
        dist.broadcast(flat.view(torch.uint8), src=0)  # as bytes: not every type can be sent
        if flat.data_ptr() != tensor.data_ptr():
            tensor.copy_(flat.view_as(tensor))


def differing(buffers: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """For each rank, the buffers that differ from those of rank 0; an empty list with a single rank."""
    if not world.joined():
        return []
    digests = {name: hashlib.blake2b(_bytes(value), digest_size=16).digest() for name, value in buffers.items()}
    first = gathered(digests)[0]
    return gathered({name: buffers[name].cpu() for name in buffers if digests[name] != first[name]})


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def known_to_all(error: Exception) -> bool:
    """Whether this error was raised on every rank, so that all can continue. True with a single process."""
    return not world.joined() or getattr(error, "known_to_all", False)


def _attempted(work: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
    try:
        with world.alone():
            return work(), None
    except Exception as error:  # any error must reach the other ranks
        return None, error


def _opened(outcome: tuple[Result, Exception | None]) -> Result:
    value, error = outcome
    if error is not None:
        error.known_to_all = True
        raise error
    return value
