"""Couplings of a batch of data with a batch of noise.

Minibatch optimal transport: Tong et al. 2023, arXiv 2302.00482, sec. 3.2; Pooladian et al. 2023, arXiv 2304.14772.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def optimal_transport(x_0: Tensor, eps: Tensor, y: Tensor | None = None) -> Tensor:
    """eps (N, *shape) in the order that minimises sum_i |x_0_i - eps_i|^2, a permutation within the examples of equal y.

    The data, and with it its conditions, stays in place. Given y the noise of an example stays N(0, I), because no noise
    leaves its class.
    """
    paired = torch.empty_like(eps)
    for members in _classes(y, len(x_0), x_0.device):
        paired[members] = eps[members][assignment(x_0[members], eps[members])]
    return paired


def assignment(x: Tensor, other: Tensor) -> Tensor:
    """The permutation p (N,) that minimises sum_i |x_i - other_p(i)|^2."""
    cost = torch.cdist(x.flatten(1).double(), other.flatten(1).double()).square()
    return torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1]).to(x.device)


def _classes(y: Tensor | None, num: int, device: torch.device) -> list[Tensor]:
    """Indices of the examples of each value of y (N, ...); without y all of them."""
    if y is None:
        return [torch.arange(num, device=device)]
    _, which = torch.unique(y, dim=0, return_inverse=True)
    return [(which == value).nonzero().squeeze(1) for value in which.unique()]
