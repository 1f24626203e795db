"""Optimisers that torch.optim has not."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from genarena.training import sharding


class ClippedAdam(torch.optim.Adam):
    """Adam on gradients whose entries are clipped to three standard deviations and 0.1: |g| <= 3 sqrt(v / (1 - beta2^t)) + 0.1.

    v: the running mean of g^2 before step t = 1, 2, ... Du & Mordatch 2019 (arXiv 1903.08689), the authors' custom_adam.py.
    """

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> float | None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    bound = self._bound(parameter, group["betas"][1])
                    parameter.grad.copy_(torch.minimum(torch.maximum(parameter.grad, -bound), bound))
        return super().step(closure)

    def _bound(self, parameter: torch.Tensor, beta2: float) -> torch.Tensor:
        """The largest entries of the next gradient, of the parameter's shape."""
        if not (state := self.state.get(parameter)):
            return torch.full_like(parameter.grad, 0.1)
        return 3.0 * (state["exp_avg_sq"] / (1.0 - beta2 ** (state["step"] + 1.0))).sqrt() + 0.1


class Muon(torch.optim.AdamW):
    """Muon for matrices and kernels, AdamW for the rest (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    With the gradient G of a matrix, kernels flattened to (out, in * taps), in float32:

        M <- momentum M + (1 - momentum) G,   O = orthogonal((1 - momentum) G + momentum M),
        W <- W - lr (sqrt(max(1, rows / columns)) O + weight_decay W)

    Differs: embeddings, input and output layers are matrices too. A tensor with one row, such as a bias per position, is not.
    torch.optim.Muon takes matrices alone, and works in bfloat16.
    Raises ValueError for a momentum outside of [0, 1), for a `rest` below 0, and for no parameters.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        rest: float = 0.15,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        fused: bool | None = None,
    ) -> None:
        """lr: of matrices; rest: share of it that is the rate of AdamW; betas, eps, fused: of AdamW; weight_decay: of both."""
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum={momentum}: expected at least 0 and less than 1")
        if rest < 0.0:
            raise ValueError(f"rest={rest}: expected at least 0")
        if not (params := list(params)):
            raise ValueError("no parameters")
        super().__init__(_by_shape(params, lr, rest), lr, betas, eps, weight_decay, fused=fused)
        for group in self.param_groups:
            group.setdefault("momentum", momentum)

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> float | None:
        with torch.enable_grad():
            loss = closure() if closure else None
        matrices = [
            (parameter, parameter.grad, group)
            for group in self.param_groups
            for parameter in group["params"]
            if group["matrices"] and parameter.grad is not None
        ]
        for parameter, _, _ in matrices:
            parameter.grad = None  # AdamW leaves it alone
        super().step()
        for parameter, gradient, group in matrices:
            parameter.grad = gradient
            self._move(parameter, gradient, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())  # AdamW's loading of a state asks for it
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
        update = sharding.gathered(gradient.lerp(state["momentum"], group["momentum"]))
        flat = orthogonal(update.flatten(1).float())
        rate = max(1.0, len(flat) / flat.shape[1]) ** 0.5 * group["lr"]
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.sub_(sharding.like(flat.view(update.shape), parameter), alpha=rate)


def _by_shape(params: list[Any], lr: float, rest: float) -> list[dict[str, Any]]:
    """Each group in two, with rates of their own: its matrices, and the others."""
    found = []
    for group in params if isinstance(params[0], dict) else [{"params": params}]:
        for matrices in (True, False):
            part = [parameter for parameter in group["params"] if is_matrix(parameter) == matrices]
            rate = group.get("lr", lr) * (1.0 if matrices else rest)
            found += [group | {"params": part, "lr": rate, "matrices": matrices}] if part else []
    return found


def is_matrix(parameter: Tensor) -> bool:
    """Whether a weight is a matrix or kernels, of more than one row and column."""
    return parameter.ndim >= 2 and 1 < len(parameter) < parameter.numel()


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V^T of the singular value decomposition U S V^T, (rows, columns): five steps of a Newton-Schulz iteration bring
    all singular values that are not tiny to between 0.6 and 1.2."""
    wide = len(matrix) <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x if wide else x.T
