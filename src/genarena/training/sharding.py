"""Sharded networks: each rank has a shard of every large layer (FSDP2, Zhao et al. 2023, arXiv 2304.11277).

A layer is gathered for its own forward and backward pass only. Element-wise operations work on the rank's shards (`local`);
files hold gathered tensors (`whole`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genarena.ranks import exchange, world
from genarena.ranks.gradients import is_sharded

SMALLEST = 1024  # elements; smaller layers are not sharded but are on every rank
LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)


def shard(module: nn.Module, device_type: str) -> None:
    """Shard the layers of a module in place."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device_type, (world.size(),))
    module.to(memory_format=torch.contiguous_format)  # shards are cut along the first axis
    for layer in [part for part in module.modules() if type(part) in LAYERS]:
        if sum(parameter.numel() for parameter in layer.parameters()) >= SMALLEST:
            fully_shard(layer, mesh=mesh, reshard_after_forward=True)


def local(tensor: Tensor) -> Tensor:
    """This rank's shard of a tensor, sharing its memory; a plain tensor itself."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def gathered(tensor: Tensor) -> Tensor:
    """All of a tensor, where it is. All ranks call it together."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def whole(value: Any) -> Any:
    """The same containers with gathered tensors on the CPU in place of sharded ones. All ranks call it together."""
    if is_sharded(value):
        return gathered(value).cpu()
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list | tuple) else value


def like(value: Tensor, example: Tensor) -> Tensor:
    """A plain tensor, sharded as the example is; unchanged if the example is not sharded."""
    if not is_sharded(example):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(example.device), example.device_mesh, example.placements)


def load(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """`load_state_dict` of plain tensors into a module that may be sharded."""
    own = module.state_dict()
    module.load_state_dict({key: like(value, own[key]) if key in own else value for key, value in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """`Optimizer.load_state_dict` of plain tensors for parameters that may be sharded."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    sharded = {
        index: {
            name: like(value, parameters[index]) if _belongs(value, parameters[index]) else value
            for name, value in entry.items()
        }
        for index, entry in state["state"].items()
    }
    optimizer.load_state_dict(state | {"state": sharded})


def _belongs(value: Any, parameter: Tensor) -> bool:
    """Whether this entry of an optimiser's state has one number per weight."""
    return isinstance(value, Tensor) and value.shape == parameter.shape and value.dim() > 0


def by_kind(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """One list of parameters, or two, because no operation mixes sharded and plain tensors."""
    parts: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for parameter in parameters:
        parts[is_sharded(parameter)].append(parameter)
    return [part for part in parts.values() if part]


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Euclidean norm over all gradients, already averaged over the ranks; a scalar tensor."""
    if not any(map(is_sharded, gradients)):
        return nn.utils.get_total_norm(gradients)
    own, plain = ([local(g) for g in gradients if is_sharded(g) == kind] for kind in (True, False))
    squares = exchange.total(float(nn.utils.get_total_norm(own)) ** 2) + float(nn.utils.get_total_norm(plain)) ** 2
    return torch.tensor(squares**0.5)


def clip(gradients: Sequence[Tensor], limit: float, norm: Tensor) -> None:
    """Scale the gradients, in place, so that their norm is at most `limit`."""
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grads_with_norm_
    torch._foreach_mul_([local(gradient) for gradient in gradients], factor.to(gradients[0].device))
