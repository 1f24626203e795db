"""A Gaussian blur of a noisy image."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from genarena.statistics.image_quality import filtered, gaussian
from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem


class GaussianBlur(Floor):
    """For denoising. strength: the standard deviation, in pixels."""

    name = "gaussian_blur"

    def fits(self, operator: Operator, sigma: float) -> bool:
        return bool(operator.known.all())

    def strengths(self, sigma: float) -> Sequence[float]:
        return [0.2 * 1.15**k for k in range(17)]

    def restore(self, problem: Problem, strength: float) -> Tensor:
        return blur(problem.y, strength)


def blur(y: Tensor, std: float) -> Tensor:
    """Images (N, C, H, W) filtered with a Gaussian of `std` pixels, continued by the pixels of the edge."""
    if std <= 0:
        return y
    radius = max(1, int(4.0 * std + 0.5))
    padded = functional.pad(y, (radius, radius, radius, radius), mode="replicate")
    return filtered(padded, gaussian(2 * radius + 1, std))
