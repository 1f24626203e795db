"""What a network of noise levels sees and gives, at unit variance (Karras et al. 2022, arXiv 2206.00364, table 1).

For x = x_0 + sigma n, data of standard deviation sigma_data, and a network F:  c_skip x + c_out F(c_in x, ln(sigma) / 4).
"""

from typing import NamedTuple

from torch import Tensor

LEAST, MOST = 0.002, 80.0  # sigma_min and sigma_max


class Preconditioning(NamedTuple):
    """Each (N, 1, ...)."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor


def preconditioning(a: Tensor, s: Tensor, sigma_data: float) -> Preconditioning:
    """For x = a x_0 + s eps; with a = 1 those of the table. a, s (N, 1, ...)."""
    total = (s.square() + (a * sigma_data).square()).sqrt()
    return Preconditioning(a * sigma_data**2 / total.square(), s * sigma_data / total, 1.0 / total)


def c_noise(sigma: Tensor) -> Tensor:
    """ln(sigma) / 4 (N,), the network's time; below sigma = 0.002 it sees 0.002."""
    return sigma.clamp_min(LEAST).log() / 4.0
