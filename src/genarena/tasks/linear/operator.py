"""What a linear operator A gives."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Operator(ABC):
    """A maps x (N, *shape) to observations y (N, *observed_shape). All methods are differentiable, in any float type.

    A mask may differ from example to example; all else is shared by all.
    """

    shape: tuple[int, ...]  # of x
    observed_shape: tuple[int, ...]  # of y

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y: <y, A x> = <A^T y, x>."""

    @abstractmethod
    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """A^+ y, the smallest x among those with the smallest |y - A x|."""

    @abstractmethod
    def solve(self, y: Tensor, c: float) -> Tensor:
        """(A A^T + c I)^-1 y for y = A x + c' n; with c = 0 the pseudo-inverse of A A^T."""

    @property
    def observed(self) -> Tensor:
        """What of y is measured: bool, broadcasts with (N, *observed_shape). The rest of y is zero, and has no noise."""
        return torch.ones((1, *self.observed_shape), dtype=torch.bool)

    @property
    def known(self) -> Tensor:
        """Which dimensions of x are measured one by one: bool, broadcasts with (N, *shape); for metrics of the rest."""
        return torch.zeros((1, *self.shape), dtype=torch.bool)

    def of_covariance(self, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """S A^T (D, M) and A S A^T (M, M) of a covariance S (D, D), for the M measured numbers of one example, or of all if
        they share A."""
        kept = self.observed.to(covariance.device).expand(1, *self.observed_shape).flatten()
        cross = self(covariance.unflatten(1, self.shape)).flatten(1)[:, kept]  # S is symmetric
        return cross, self(cross.T.unflatten(1, self.shape)).flatten(1)[:, kept].T

    def rows(self, index: slice | Tensor) -> "Operator":
        """The operator of some examples."""
        return self

    def to(self, device: torch.device | str) -> "Operator":
        return self
