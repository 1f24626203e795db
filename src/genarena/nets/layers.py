"""Hidden layers of networks by name, and vectors of what they hold while the network runs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAMELESS: Mapping[str, nn.Module] = {}


class Layered(ABC):
    """A network that names its hidden layers."""

    @abstractmethod
    def layers(self) -> dict[str, nn.Module]:
        """Name to module, in the order in which they run. A module gives a map (N, C, H, W), tokens (N, T, F), vectors (N, F),
        or a tuple, of which the last of these counts."""


def layers_of(network: nn.Module) -> dict[str, nn.Module]:
    """Those that the network names; {} if it names none."""
    return network.layers() if isinstance(network, Layered) else {}


def numbered(blocks: nn.ModuleList, name: str = "block") -> dict[str, nn.Module]:
    """Blocks by their number from 1."""
    return {f"{name} {number}": block for number, block in enumerate(blocks, 1)}


def last_linear(network: nn.Module) -> nn.Linear:
    """The last linear layer in the order of definition."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]


@torch.no_grad()
def recorded(
    run: Callable[[], Any],
    outputs: Mapping[str, nn.Module] = NAMELESS,
    inputs: Mapping[str, nn.Module] = NAMELESS,
    pooled: bool = True,
) -> dict[str, Tensor]:
    """Name to vectors (N, F), float32, of what the modules `outputs` gave and the modules `inputs` took while `run()` ran.

    pooled: maps are averaged over positions, and once more over each quarter of the image, as `<name> in quarters`; tokens are
    averaged over the sequence. Else they are flattened. A module that runs several times counts at its last run.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, held: Any) -> None:
        parts = [held] if isinstance(held, Tensor) else [each for each in held if each is not None and each.dim() > 1]
        found[name] = as_vectors(parts[-1], pooled)
        if pooled and parts[-1].dim() == 4 and min(parts[-1].shape[2:]) > 1:
            found[f"{name} in quarters"] = F.adaptive_avg_pool2d(parts[-1].float(), 2).flatten(1)

    hooks = [
        module.register_forward_hook(lambda _, __, held, name=name: keep(name, held))
        for name, module in outputs.items()
    ]
    hooks += [
        module.register_forward_pre_hook(lambda _, held, name=name: keep(name, held[:1]))
        for name, module in inputs.items()
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def as_vectors(h: Tensor, pooled: bool = True) -> Tensor:
    """(N, F) float32 of a map (N, C, H, W), tokens (N, T, F) or vectors (N, F): averaged over positions, or flattened."""
    h = h.float()
    if pooled and h.dim() > 2:
        return h.mean(1) if h.dim() == 3 else h.flatten(2).mean(2)
    return h.flatten(1)
