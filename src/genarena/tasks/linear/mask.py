"""A x = m x with a mask m of zeros and ones: inpainting, and with a mask of ones denoising."""

import torch
from torch import Tensor

from genarena.tasks.linear.operator import Operator


class Mask(Operator):
    """m: bool (N, *shape), or (1, *shape) for all examples; True where x is measured. y is zero elsewhere."""

    def __init__(self, m: Tensor) -> None:
        self.m = m.bool()
        self.shape = self.observed_shape = tuple(m.shape[1:])

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.m

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.m

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        return y * self.m

    def solve(self, y: Tensor, c: float) -> Tensor:
        return y * self.m / (1.0 + c)

    @property
    def observed(self) -> Tensor:
        return self.m

    @property
    def known(self) -> Tensor:
        return self.m

    def of_covariance(self, covariance: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.m.to(covariance.device).expand(1, *self.shape).flatten()
        cross = covariance[:, kept]
        return cross, cross[kept]

    def rows(self, index: slice | Tensor) -> "Mask":
        return self if len(self.m) == 1 else Mask(self.m[index])

    def to(self, device: torch.device | str) -> "Mask":
        return Mask(self.m.to(device))


def identity(shape: tuple[int, ...]) -> Mask:
    """All is measured."""
    return Mask(torch.ones((1, *shape), dtype=torch.bool))
