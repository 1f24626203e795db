"""The processes that work on one run: which one this is, how they find each other, what they tell each other.

Outside of a job of several processes every function here does nothing and returns at once. A failure inside `from_zero`
and `spread` reaches all ranks, so that none of them waits for one that has already given up.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from genarena.errors import UserError

Result = TypeVar("Result")
Item = TypeVar("Item")
BUCKET = 2**24  # gradient elements that travel together
SLURM = {
    "RANK": "SLURM_PROCID",
    "WORLD_SIZE": "SLURM_NTASKS",
    "LOCAL_RANK": "SLURM_LOCALID",
    "LOCAL_WORLD_SIZE": "SLURM_NTASKS_PER_NODE",
}


_alone = False  # inside `alone`


def joined() -> bool:
    """Whether this process belongs to a job of several, and works with them."""
    return not _alone and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def alone() -> Iterator[None]:
    """What is done here is this rank's own affair: nothing in it waits for the others."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def rank() -> int:
    """0 .. size() - 1."""
    return dist.get_rank() if joined() else 0


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if joined() else 1


def started_elsewhere() -> bool:
    """Whether torchrun, srun or genarena's own launcher has started this process as one of several."""
    return expected() > 1 and "RANK" in os.environ


def expected() -> int:
    """How many processes were started."""
    return int(os.environ.get("WORLD_SIZE", 1))


def expected_here() -> int:
    """How many of them on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", expected()))


def rank_here() -> int:
    """The number of this process on this machine: that of its device."""
    return int(os.environ.get("LOCAL_RANK", 0))


@contextmanager
def together(accelerator: str, timeout: float) -> Iterator[None]:
    """Meet the other processes that were started with this one; part from them at the end.

    timeout: seconds that one of them waits for another before it gives up with an error.
    """
    if not started_elsewhere() or dist.is_initialized():
        yield
        return
    on_gpus = accelerator != "cpu" and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(rank_here())
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    yield  # after an error the others may never come: no farewell
    dist.barrier()
    dist.destroy_process_group()


def in_srun_step() -> bool:
    """Whether srun has started several of these processes (a batch script alone is one)."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1


def adopt_slurm() -> None:
    """Read what srun says into the variables that torchrun sets. Raises UserError when srun did not start this process."""
    if "SLURM_PROCID" not in os.environ or "SLURM_JOB_ID" not in os.environ:
        raise UserError("trainer=slurm: this process was not started by srun: srun python train.py trainer=slurm ...")
    from lightning_fabric.plugins.environments import SLURMEnvironment

    tasks, nodes = int(os.environ.get("SLURM_NTASKS", 1)), int(os.environ.get("SLURM_NNODES", 1))
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(tasks // nodes))
    os.environ |= {name: os.environ[theirs] for name, theirs in SLURM.items() if theirs in os.environ}
    addresses = os.environ.get("SLURM_JOB_NODELIST", os.environ.get("SLURM_NODELIST", "127.0.0.1"))
    os.environ.setdefault("MASTER_ADDR", SLURMEnvironment.resolve_root_node_address(addresses))
    os.environ.setdefault("MASTER_PORT", str(15000 + int(os.environ["SLURM_JOB_ID"][-4:])))


# -- what they tell each other -----------------------------------------------------------------------------------------


def gathered(value: Item) -> list[Item]:
    """The value of every rank, in their order, on every rank."""
    if not joined():
        return [value]
    values: list[Any] = [None] * size()
    dist.all_gather_object(values, value)
    return values


def from_zero(work: Callable[[], Result]) -> Result:
    """What `work` returns, or raises, on rank 0, which does it alone; the others wait for it."""
    if not joined():
        return work()
    outcome = [_attempted(work) if rank() == 0 else None]
    dist.broadcast_object_list(outcome, src=0)
    return _opened(outcome[0])


def zero_first(work: Callable[[], Result]) -> Result:
    """Every rank works, rank 0 before the others (it may download or write what they then find)."""
    if not joined():
        return work()
    mine = _attempted(work) if rank() == 0 else None
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
    """`[work(item) for item in items]`, each item on one rank, the results on all of them. An error reaches all.

    track: shows the progress over the items of this rank.
    """
    if not joined():
        return [work(item) for item in track(items)]
    own = items[rank() :: size()]
    mine = _attempted(lambda: [work(item) for item in track(own)])
    parts = [_opened(outcome) for outcome in gathered(mine)]
    return [parts[index % size()][index // size()] for index in range(len(items))]


def any_rank(flag: bool) -> bool:
    """Whether it is true on one of the ranks."""
    return largest(float(flag)) > 0


def largest(value: float) -> float:
    """The largest of the values of all ranks."""
    return _reduced(value, dist.ReduceOp.MAX) if joined() else value


def total(value: float) -> float:
    """The sum over all ranks."""
    return _reduced(value, dist.ReduceOp.SUM) if joined() else value


def _reduced(value: float, operation: Any) -> float:
    tensor = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(tensor, operation)
    return tensor.item()


def mean(x: Tensor) -> Tensor:
    """The mean of a tensor over all ranks, whose shares of a batch are equal."""
    if not joined():
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / size()


def whole_batch(x: Tensor) -> Tensor:
    """The shares (N, *) of all ranks as the one batch they are of, in its order (rank r holds rows r, r + size(), ...)."""
    if not joined():
        return x
    parts = [torch.empty_like(x) for _ in range(size())]
    dist.all_gather(parts, x.contiguous())
    return torch.stack(parts, 1).flatten(0, 1)


def same_state(model: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    if not joined():
        return
    for tensor in [value for value in model.state_dict().values() if value.numel()]:
        flat = tensor.contiguous().flatten()
        dist.broadcast(flat.view(torch.uint8), src=0)  # as bytes: not every type can travel
        if flat.data_ptr() != tensor.data_ptr():
            tensor.copy_(flat.view_as(tensor))


def differing(buffers: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Of each rank, the buffers that are not those of rank 0; empty where there is one rank."""
    if not joined():
        return []
    digests = {name: hashlib.blake2b(_bytes(value), digest_size=16).digest() for name, value in buffers.items()}
    first = gathered(digests)[0]
    return gathered({name: buffers[name].cpu() for name in buffers if digests[name] != first[name]})


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """The mean over ranks, in place. One that has no gradient on any rank keeps none; shards are averaged by themselves."""
    wanted = [parameter for parameter in parameters if parameter.requires_grad and not isinstance(parameter, DTensor)]
    if not joined() or not wanted:
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
        flat = torch.cat([gradient.flatten() for gradient in bucket]).div_(size())
        pending.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, done in pending:
        done.wait()
        parts = flat.split([gradient.numel() for gradient in bucket])
        torch._foreach_copy_(bucket, [part.view_as(g) for part, g in zip(parts, bucket, strict=True)])


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Consecutive tensors of one type, about `BUCKET` elements together."""
    buckets: list[list[Tensor]] = []
    room = 0
    for tensor in tensors:
        if room < tensor.numel() or buckets[-1][0].dtype != tensor.dtype:
            buckets.append([])
            room = max(BUCKET, tensor.numel())
        buckets[-1].append(tensor)
        room -= tensor.numel()
    return buckets


def _attempted(work: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
    try:
        with alone():
            return work(), None
    except Exception as error:  # whatever it is, the others must hear of it
        return None, error


def _opened(outcome: tuple[Result, Exception | None]) -> Result:
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
