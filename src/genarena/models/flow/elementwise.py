"""Increasing functions of one dimension, with parameters from a network that sees other dimensions."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genarena.models.flow.couplings import LARGEST
from genarena.models.flow.splines import inverse_spline, spline


class Elementwise(ABC):
    """z_d = f(x_d; h_d) for every dimension d; `parameters` (N, num_parameters, *shape), of zeros for the identity."""

    num_parameters: int

    @abstractmethod
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """z and log dz/dx, both (N, *shape) as x."""

    @abstractmethod
    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """x (N, *shape)."""


class Affine(Elementwise):
    """z = (x + t) exp(s), with s = L tanh(raw / L): a scale that stays finite in float32."""

    num_parameters = 2

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._read(parameters)
        return (x + shift) * torch.exp(log_scale), log_scale

    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        log_scale, shift = self._read(parameters)
        return z * torch.exp(-log_scale) - shift

    @staticmethod
    def _read(parameters: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = parameters.unbind(1)
        return LARGEST * torch.tanh(raw / LARGEST), shift


class Spline(Elementwise):
    """A rational-quadratic spline with `num_bins` bins on [-bound, bound], the identity outside.

    Raises ValueError for fewer than two bins, or more than the least width of a bin leaves room for.
    """

    def __init__(self, num_bins: int, bound: float) -> None:
        if not 2 <= num_bins <= 500:
            raise ValueError(f"num_bins={num_bins}: expected 2 to 500")
        self.num_parameters, self.bound = 3 * num_bins - 1, bound

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return spline(x, parameters, self.bound)

    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        return inverse_spline(z, parameters, self.bound)
