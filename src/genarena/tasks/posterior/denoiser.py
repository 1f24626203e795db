"""The prior of a diffusion model as the samplers see it: a denoiser at a level of any path, and its gradient."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from genarena.models.capabilities import Denoises
from genarena.models.diffusion.paths import DATA, Jump, Level, jump
from genarena.models.diffusion.samplers import Denoised
from genarena.tasks.linear.problem import Problem

HALVINGS = 60  # of an interval of times: beyond the precision of float64
NOISIEST = 0.999  # the first time on a path that ends in pure noise, a(1) = 0, where E[x_0 | x_1] says nothing of x_1


class Step(NamedTuple):
    """From a level to the next, with the coefficients of the reverse step."""

    start: Level
    end: Level
    jump: Jump


class Prior:
    """E[x_0 | x] of a model for x = a x_0 + s eps, not clamped: a `Denoiser`.

    It depends on x / a and s / a alone, so the model is asked at the time of its own path with the same s / a.
    nfe: network evaluations of each lane so far; a product with the Jacobian counts 2. levels: that a sampler visits.
    kept: what an algorithm needs from one level at the next.
    """

    levels: Sequence[Level]
    kept: Tensor | None = None

    def __init__(self, model: Denoises, problem: Problem) -> None:
        self.model, self.condition, self.nfe = model, problem.condition, 0
        self._like = problem.y
        self._times: dict[float, tuple[Tensor, float]] = {}  # s / a to t (1,) and its a
        self._notes: dict[str, list[Tensor]] = {}

    def __call__(self, x: Tensor, level: Level) -> Denoised:
        t, a = self._time(level.sigma)
        self.nfe += 1
        with torch.set_grad_enabled(x.requires_grad):  # not through the weights
            return Denoised(self.model.denoise(x * (a / level.a), t.expand(len(x)), self.condition).to(x.dtype))

    def linearised(self, x: Tensor, level: Level) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """E[x_0 | x] (N, *shape) and the map v -> J^T v, J = d E[x_0 | x] / dx; V[x_0 | x] = (s^2 / a) J."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            x_0 = self(x, level).x_0

        def product(v: Tensor) -> Tensor:
            self.nfe += 2
            return torch.autograd.grad(x_0, x, v, retain_graph=True)[0]

        return x_0.detach(), product

    def path(self, num_steps: int, ratio: float = math.inf) -> list[Level]:
        """num_steps + 1 levels at even times of the model's path, from the s / a of `ratio`, or from noise, to data."""
        t = torch.linspace(1.0, 0.0, num_steps + 1, dtype=self._like.dtype, device=self._like.device)[:-1]
        if ratio < math.inf:
            t = t * self._time(ratio)[0]
        elif self.model.marginal(t[:1])[0].item() < 1e-3:
            t = t * NOISIEST
        a, s = (part.tolist() for part in self.model.marginal(t))
        levels = [Level(*each) for each in zip(a, s, strict=True)]
        self._times |= {level.sigma: (t[k : k + 1], level.a) for k, level in enumerate(levels)}
        return [*levels, DATA]

    def step(self, level: Level) -> Step:
        """From one of `levels` to the next."""
        end = self.levels[self.levels.index(level) + 1]
        return Step(level, end, jump(level, end))

    def note(self, name: str, values: Tensor) -> None:
        """Keep a number of each lane (N,)."""
        self._notes.setdefault(name, []).append(values)

    @property
    def facts(self) -> dict[str, Tensor]:
        """The mean of all that was noted, per lane."""
        return {name: torch.stack(values).mean(0) for name, values in self._notes.items()}

    def _time(self, ratio: float) -> tuple[Tensor, float]:
        if ratio not in self._times:
            t = time_of(self.model, ratio, self._like.device, self._like.dtype)
            self._times[ratio] = t, self.model.marginal(t)[0].item()
        return self._times[ratio]


def time_of(
    model: Denoises, ratio: float, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """t (1,) with s(t) / a(t) = ratio, by halving [0, 1]. Raises ValueError if even t = 1 has a smaller ratio."""
    low, high = torch.zeros(1, device=device, dtype=dtype), torch.ones(1, device=device, dtype=dtype)
    a, s = model.marginal(high)
    if (s < ratio * a).item():
        raise ValueError(
            f"noise of {ratio / 2.0:g} in [0, 1]: the model's path has at most {s.item() / a.item() / 2.0:g}"
        )
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        a, s = model.marginal(middle)
        low, high = (middle, high) if (s < ratio * a).item() else (low, middle)
    return high
