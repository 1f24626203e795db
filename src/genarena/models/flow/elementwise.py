"""Increasing functions of one dimension, with parameters from a network that sees other dimensions, and couplings of them."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genarena.models.flow.bijection import Bijection
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
        return z / torch.exp(log_scale) - shift

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


class ElementwiseCoupling(Bijection):
    """The first half of dimension 1 is kept and is the condition, every value of the rest passes its own function."""

    def __init__(self, network: nn.Module, elementwise: Elementwise) -> None:
        super().__init__()
        self.network, self.elementwise = network, elementwise

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = self._halves(x)
        z, log_slope = self.elementwise.forward(changed, self.conditioned(kept, changed, context))
        return torch.cat([kept, z], 1), log_slope.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        kept, changed = self._halves(z)
        return torch.cat([kept, self.elementwise.inverse(changed, self.conditioned(kept, changed, context))], 1)

    @staticmethod
    def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.tensor_split((x.shape[1] // 2,), 1)

    def conditioned(self, kept: Tensor, changed: Tensor, context: Tensor | None) -> Tensor:
        outputs = self.network(torch.asinh(kept), context).to(kept.dtype)
        return outputs.unflatten(1, (self.elementwise.num_parameters, changed.shape[1]))


class Pointwise(Bijection):
    """z_d = f(x_d; h_d) on vectors (N, D) with learned parameters h, the same for all examples."""

    def __init__(self, num_dims: int, elementwise: Elementwise) -> None:
        super().__init__()
        self.elementwise = elementwise
        self.parameters_of_all = nn.Parameter(torch.zeros(1, elementwise.num_parameters, num_dims))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_slope = self.elementwise.forward(x, self.parameters_of_all.expand(len(x), -1, -1))
        return z, log_slope.sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.elementwise.inverse(z, self.parameters_of_all.expand(len(z), -1, -1))
