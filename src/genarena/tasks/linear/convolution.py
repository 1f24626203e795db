"""A x = a circular convolution, (A x)[i] = sum_j kernel[j] x[i - j], with j = 0 in the middle of the kernel.

It is a true convolution: the kernel is flipped, unlike in the correlation that networks call a convolution. The image goes on
with its other side. A is diagonal in Fourier space: A x = F^-1 (K F x), with K the discrete Fourier transform of the kernel,
so A^T has conj(K), A A^T has |K|^2, and A^+ has 1 / K.
"""

import math

import torch
from torch import Tensor

from genarena.tasks.linear.operator import Operator

CUTOFF = 0.1  # of the largest |K|


class Convolution(Operator):
    """Each channel of x (C, H, W) convolved with `kernel` (h, w), of odd sides.

    cutoff: A^+, and `solve` with c = 0, take frequencies with |K| <= cutoff max |K| for lost, because 1 / K there is larger
    than the noise allows: A A^+ A = A holds for the others only.
    Raises ValueError for a kernel with an even side, or one larger than the image.
    """

    def __init__(self, shape: tuple[int, ...], kernel: Tensor, cutoff: float = CUTOFF) -> None:
        sides, (height, width) = tuple(kernel.shape), shape[-2:]
        if any(side % 2 == 0 for side in sides):
            raise ValueError(f"a kernel of {sides[0]} x {sides[1]}: expected odd sides")
        if sides[0] > height or sides[1] > width:
            raise ValueError(f"a kernel of {sides[0]} x {sides[1]}: larger than images of {height} x {width}")
        self.shape = self.observed_shape = tuple(shape)
        self.kernel, self.cutoff = kernel.double(), cutoff
        padded = torch.zeros(height, width, dtype=torch.float64, device=kernel.device)
        padded[: sides[0], : sides[1]] = self.kernel
        self.transfer = torch.fft.rfft2(padded.roll((-(sides[0] // 2), -(sides[1] // 2)), (0, 1)))  # K (H, W // 2 + 1)
        self.power = self.transfer.abs().square()
        self.kept = self.transfer.abs() > cutoff * self.transfer.abs().max()

    def __call__(self, x: Tensor) -> Tensor:
        return self._filtered(x, self.transfer)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._filtered(y, self.transfer.conj())

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        return self._filtered(y, self.transfer.conj() * self._inverse(0.0))

    def solve(self, y: Tensor, c: float) -> Tensor:
        return self._filtered(y, self._inverse(c))

    def _inverse(self, c: float) -> Tensor:
        """1 / (|K|^2 + c), for c = 0 on the frequencies that are kept."""
        return 1.0 / (self.power + c) if c > 0 else torch.where(self.kept, 1.0 / self.power, 0.0)

    def _filtered(self, x: Tensor, transfer: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)
        return torch.fft.irfft2(spectrum * transfer.to(spectrum), s=self.shape[-2:])

    def to(self, device: torch.device | str) -> "Convolution":
        return Convolution(self.shape, self.kernel.to(device), self.cutoff)


def gaussian_kernel(side: int, std: float) -> Tensor:
    """(side, side) float64, sums to 1."""
    places = torch.arange(side, dtype=torch.float64) - side // 2
    weights = torch.exp(-0.5 * (places / std).square())
    return torch.outer(weights, weights) / weights.sum() ** 2


def motion_kernel(length: int, degrees: float) -> Tensor:
    """(length, length) float64, sums to 1: `length` (odd) points one pixel apart on a line through the middle.

    Each point is shared by the four pixels around it, bilinearly. degrees: counter-clockwise from a row.
    """
    middle, kernel = length // 2, torch.zeros(length, length, dtype=torch.float64)
    across, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    for step in range(-middle, middle + 1):
        row, column = middle - step * up, middle + step * across
        for i in {math.floor(row), math.ceil(row)}:
            for j in {math.floor(column), math.ceil(column)}:
                kernel[i, j] += (1.0 - abs(row - i)) * (1.0 - abs(column - j)) / length
    return kernel
