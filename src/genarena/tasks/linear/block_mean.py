"""A x = the means of blocks of k x k pixels: images of 1 / k of the side. Rows of A are orthogonal, A A^T = I / k^2."""

from torch import Tensor
from torch.nn import functional

from genarena.tasks.linear.operator import Operator


class BlockMean(Operator):
    """shape: (C, H, W) of x, y has (C, H / k, W / k). Raises ValueError if k does not divide the sides."""

    def __init__(self, shape: tuple[int, ...], k: int) -> None:
        if shape[-2] % k or shape[-1] % k:
            raise ValueError(f"blocks of {k} x {k}: do not divide images of {shape[-2]} x {shape[-1]}")
        self.k, self.shape = k, tuple(shape)
        self.observed_shape = (shape[0], shape[-2] // k, shape[-1] // k)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, self.k)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.pseudo_inverse(y) / self.k**2

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """A^T k^2 y: each pixel of a block has its mean."""
        return y.repeat_interleave(self.k, -2).repeat_interleave(self.k, -1)

    def solve(self, y: Tensor, c: float) -> Tensor:
        return y / (1.0 / self.k**2 + c)
