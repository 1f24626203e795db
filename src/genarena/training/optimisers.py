"""Optimisers that torch.optim has not."""

from collections.abc import Callable

import torch


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
