"""Diffusion posterior sampling (Chung, Kim, Mccann, Klasky & Ye 2022, arXiv 2209.14687, algorithm 1).

Differs from the paper: predictions are not clipped before the gradient, which would vanish at saturated pixels.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from genarena.models.diffusion.paths import Level
from genarena.options.values import Positive
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.denoiser import Prior
from genarena.tasks.posterior.guided import Guided


@dataclass(frozen=True)
class DPS(Guided):
    """x_s <- x_s - zeta grad_x |y - A D(x)| after each ancestral step, the norm of each lane by itself.

    It is the step with D_y = D - zeta / w grad_x |y - A D(x)|, w the weight of D in it. The noise level of y is not used. zeta:
    the size of a step, which grows with the root of the number of measurements and falls with the number of steps; null: chosen
    on validation images.
    """

    name = "dps"
    exactness = "heuristic"
    paper = "2209.14687"
    strength: ClassVar[str] = "zeta"
    strengths: ClassVar[tuple[float, ...]] = (0.1, 0.3, 1.0, 3.0)

    zeta: Positive | None = None

    def guided(self, prior: Prior, problem: Problem, x: Tensor, level: Level) -> Tensor:
        x_0, product = prior.linearised(x, level)
        residual = problem.residual(x_0)
        norm = residual.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (residual.dim() - 1))
        slope = product(problem.operator.adjoint(residual / norm))
        return x_0 + self.zeta / prior.step(level).jump.weight_x_0 * slope
