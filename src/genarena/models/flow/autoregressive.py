"""Masked autoregressive bijections of vectors (Papamakarios et al. 2017, arXiv 1705.07057, sec. 3.1).

    z_d = f(x_d; h_d(x_1, ..., x_(d-1))),    log |det| = sum_d log df/dx_d

From x to z all dimensions are computed at once, from z to x one after the other. `Inverted` swaps the two.
"""

from collections.abc import Sequence

from torch import Tensor

from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import ActNorm
from genarena.models.flow.elementwise import Elementwise
from genarena.nets.masked_mlp import MaskedMLP

DIRECTIONS = ("density", "sampling")


class MaskedAutoregressive(Bijection):
    """z_d = f(x_d; h_d(x_<d)) on (N, D), with the network's outputs h and a function `elementwise` f."""

    def __init__(self, network: MaskedMLP, elementwise: Elementwise) -> None:
        super().__init__()
        self.network, self.elementwise = network, elementwise

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_slope = self.elementwise.forward(x, self.network(x, context).to(x.dtype))
        return z, log_slope.sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Incremental: every unit of the network is computed once."""
        columns = z.T.contiguous()[:, None].unbind()  # (1, N) each
        return self.network.unroll(
            lambda outputs, d: self.elementwise.inverse(columns[d], outputs.to(z.dtype)), len(z), context
        )


class Inverted(Bijection):
    """The same pair of maps in the other direction: z = g^-1(x) for a bijection g."""

    def __init__(self, bijection: Bijection) -> None:
        super().__init__()
        self.bijection = bijection

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = self.bijection.inverse(x, context)
        return z, -self.bijection(z, context)[1]

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.bijection(z, context)[0]


class Reverse(Bijection):
    """The dimensions (N, D) in reverse order."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flip(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z.flip(1)


class Flatten(Bijection):
    """(N, C, H, W) to (N, H W C): the raster scan, the channels of a pixel after each other."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.rows = (*shape[1:], shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.permute(0, 2, 3, 1).flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z.unflatten(1, self.rows).permute(0, 3, 1, 2)


def autoregressive_flow(
    num_dims: int,
    num_layers: int,
    hidden: Sequence[int],
    elementwise: Elementwise,
    direction: str = "density",
    context_features: int = 0,
) -> Chain:
    """`num_layers` bijections of (N, D), each after an activation normalisation, each in the reverse order of the one before.

    direction: "density" is parallel from x to z (MAF), "sampling" from z to x (IAF).
    Raises ValueError below two dimensions and for another direction.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction={direction!r}: expected one of {', '.join(DIRECTIONS)}")
    if num_dims < 2:
        raise ValueError(f"an autoregressive flow needs at least 2 dimensions, and this data set has {num_dims}")
    layers: list[Bijection] = []
    for _ in range(num_layers):
        network = MaskedMLP(num_dims, hidden, elementwise.num_parameters, context_features)
        layer = MaskedAutoregressive(network, elementwise)
        layers += [ActNorm(num_dims), Inverted(layer) if direction == "sampling" else layer, Reverse()]
    return Chain(*layers, ActNorm(num_dims))
