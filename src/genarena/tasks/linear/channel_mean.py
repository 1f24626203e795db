"""A x = the mean of the channels, a grey image. A A^T = I / C, with C = 3 for RGB."""

from torch import Tensor

from genarena.tasks.linear.operator import Operator


class ChannelMean(Operator):
    """shape: (C, H, W) of x, y has (1, H, W)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.observed_shape = tuple(shape), (1, *shape[1:])

    def __call__(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.pseudo_inverse(y) / self.shape[0]

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """A^T C y: each channel is the mean."""
        return y.expand(len(y), *self.shape)

    def solve(self, y: Tensor, c: float) -> Tensor:
        return y / (1.0 / self.shape[0] + c)
