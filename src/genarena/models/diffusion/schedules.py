"""Noise schedules alpha_bar_0 = 1 > alpha_bar_1 > ... > alpha_bar_T, and every coefficient that follows from them: a
variance-preserving path in T steps.

Linear: Ho, Jain & Abbeel 2020, arXiv 2006.11239, sec. 4. Cosine: Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17.
Sound: Kong et al. 2021 (DiffWave), arXiv 2009.09761, sec. 5. v: Salimans & Ho 2022, arXiv 2202.00512, appendix D.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from genarena.models.diffusion.paths import Jump, Level, cosine, jump
from genarena.models.diffusion.times import column, even_times


def linear_alpha_bar(num_steps: int) -> Tensor:
    """beta from 1e-4 to 0.02 at 1000 steps, scaled by 1000 / num_steps at others; (T + 1,) float64.

    `paths.linear` is its limit of many steps.
    """
    scale = 1000.0 / num_steps
    return _cumulative(torch.linspace(1e-4 * scale, 0.02 * scale, num_steps, dtype=torch.float64))


def cosine_alpha_bar(num_steps: int, largest_beta: float = 0.999) -> Tensor:
    """`paths.cosine` at times t / T, with beta clipped; (T + 1,) float64."""
    a = torch.tensor([cosine(t / num_steps).a for t in range(num_steps + 1)], dtype=torch.float64)
    return _cumulative((1.0 - (a[1:] / a[:-1]).square()).clamp_max(largest_beta))


def sound_alpha_bar(num_steps: int) -> Tensor:
    """beta from 1e-4 to 0.05, whatever the number of steps is; (T + 1,) float64. The last of 50 steps keeps a = 0.53: sound has
    a deviation of about a tenth, which the noise covers there."""
    return _cumulative(torch.linspace(1e-4, 0.05, num_steps, dtype=torch.float64))


def _cumulative(beta: Tensor) -> Tensor:
    return torch.cat([torch.ones(1, dtype=beta.dtype), torch.cumprod(1.0 - beta, 0)])


SCHEDULES = {"linear": linear_alpha_bar, "cosine": cosine_alpha_bar, "sound": sound_alpha_bar}

# name -> (the network's target, x_0 from the network's output); a = a_t, s = s_t
PREDICTIONS = {
    "eps": (lambda x_0, eps, a, s: eps, lambda output, x_t, a, s: (x_t - s * output) / a),
    "v": (lambda x_0, eps, a, s: a * eps - s * x_0, lambda output, x_t, a, s: a * x_t - s * output),
    "x": (lambda x_0, eps, a, s: x_0, lambda output, x_t, a, s: output),
}


def respaced(num_steps: int, taken: int) -> list[int]:
    """taken + 1 steps from num_steps to 0, as even as integers can be; 1 <= taken <= num_steps."""
    return [num_steps * (taken - k) // taken for k in range(taken + 1)]


def with_least_noise(alpha_bar: Tensor, least: float) -> Tensor:
    """The schedule with s_1 / a_1 = `least`, if its own is smaller; (T + 1,) float64.

    In the angle phi (a = cos phi, s = sin phi) the steps 1 .. T are squeezed evenly into what is left.
    """
    angles = alpha_bar.sqrt().acos()
    first, last = angles[1].item(), angles[-1].item()
    wanted = math.atan(least)
    if wanted <= first:
        return alpha_bar
    angles = wanted + (angles[1:] - first) * ((last - wanted) / (last - first))
    return torch.cat([alpha_bar[:1], angles.cos().square()])


class NoiseSchedule(nn.Module):
    """Coefficients of the forward process, of its posterior, and of the three parametrisations.

    alpha_bar: (T + 1,) float64, from 1 downwards.
    sharpest: the posterior q(x_0 | x_1, x_0) has variance zero. In its place stands the posterior variance of step 2
        (Nichol & Dhariwal, sec. 3.1), or `sharpest` if that is smaller: a learned variance can shrink to it at t = 1.
    The buffers follow from the arguments and are not saved.
    Raises ValueError unless `alpha_bar` starts at 1, decreases strictly, stays above 0 and has at least two steps.
    """

    def __init__(self, alpha_bar: Tensor, sharpest: float = math.inf) -> None:
        super().__init__()
        if len(alpha_bar) < 3 or alpha_bar[0] != 1.0 or alpha_bar[-1] <= 0.0 or (alpha_bar.diff() >= 0.0).any():
            raise ValueError(
                f"num_steps={len(alpha_bar) - 1}: this schedule has betas outside (0, 1); expected more steps"
            )
        self.num_steps, self.sharpest = len(alpha_bar) - 1, sharpest
        self.alpha_bar = alpha_bar.tolist()  # Python floats: double precision, for samplers on any device
        self.angles = [math.acos(math.sqrt(value)) for value in self.alpha_bar]  # a_t is the cosine, s_t the sine
        self._table = np.arange(self.num_steps + 1.0), np.array(self.angles)
        jumps = [self.jump(t, t - 1) for t in range(1, self.num_steps + 1)]
        jumps = torch.tensor([jumps[0], *jumps], dtype=torch.float64)  # row t is step t; row 0 is not used
        columns = {
            "signal": alpha_bar.sqrt(),
            "noise": (1.0 - alpha_bar).sqrt(),
            "weight_x_0": jumps[:, 0],
            "low": jumps[:, 2],
            "high": jumps[:, 3],
            "angle": torch.tensor(self.angles, dtype=torch.float64),
        }
        for name, values in columns.items():
            self.register_buffer(name, values.float(), persistent=False)

    def even_steps(self, num: int, device: torch.device) -> Tensor:
        """Steps (num,) in 1 .. T, spread evenly from one random start."""
        return 1 + (even_times(num, device) * self.num_steps).long().clamp_max(self.num_steps - 1)

    def jump(self, t: int, s: int) -> Jump:
        """Coefficients of the reverse step from t to s < t; t - s may be larger than 1."""
        found = jump(self.level(t), self.level(s))
        if s > 0:
            return found
        return found._replace(
            log_variance=min(jump(self.level(2), self.level(1)).log_variance, math.log(self.sharpest))
        )

    def level(self, step: float) -> Level:
        """(a, s) at a step in [0, T]; between whole steps the angle is interpolated."""
        angle = float(np.interp(step, *self._table))
        return Level(math.cos(angle), math.sin(angle))

    def step_of(self, level: Level) -> float:
        """The step with this ratio s / a, on whatever path the level lies; T for more noise than the schedule has."""
        return float(np.interp(math.atan2(level.s, level.a), *reversed(self._table)))

    def diffuse(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t = a_t x_0 + s_t eps for steps t (N,)."""
        return self.at("signal", t, x_0) * x_0 + self.at("noise", t, x_0) * eps

    def target(self, prediction: str, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """The network's target (N, *shape) at steps t (N,); `prediction` is a key of `PREDICTIONS`."""
        return PREDICTIONS[prediction][0](x_0, eps, self.at("signal", t, x_0), self.at("noise", t, x_0))

    def to_x_0(self, prediction: str, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x_0 (N, *shape) from the network's output at steps t (N,)."""
        return PREDICTIONS[prediction][1](output, x_t, self.at("signal", t, x_t), self.at("noise", t, x_t))

    def marginal(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """a and s (N,) at steps (N,) in [0, T], as `level`."""
        low = step.long().clamp_max(self.num_steps - 1)
        angle = self.angle[low] + (step - low) * (self.angle[low + 1] - self.angle[low])
        return angle.cos(), angle.sin()

    def log_variance(self, share: Tensor, t: Tensor) -> Tensor:
        """Reverse log-variance, `share` of the way from the posterior variance to beta_t (Nichol & Dhariwal, eq. 15)."""
        low, high = self.at("low", t, share), self.at("high", t, share)
        return low + share * (high - low)

    def at(self, name: str, t: Tensor, like: Tensor) -> Tensor:
        """Buffer `name` at steps t (N,), shaped (N, 1, ...) to broadcast with `like`."""
        return column(getattr(self, name)[t], like)
