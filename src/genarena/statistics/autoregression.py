"""Stationary Gaussian processes that are known by their autocorrelation, as autoregressions of finite order.

x_t = sum_{j=1..P} a_j x_{t-j} + e_t,  e_t ~ N(0, v).  The recursion of Levinson (1946) and Durbin (1960) gives the best
predictor of every order up to P, in P^2 operations. The first P samples of a row are predicted from the fewer that there are,
so that densities are those of the stationary process from the first sample on.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor


def levinson(autocorrelation: Tensor) -> tuple[Tensor, Tensor]:
    """The predictor of order P from r_0 .. r_P (..., P + 1), in its type: a_1 .. a_P (..., P), and the variance v (...) of its
    errors. Raises ValueError for an autocorrelation that no process has (a variance that is not positive)."""
    for a, v in recursion(autocorrelation):  # noqa: B007 - the last is what is wanted
        pass
    return a.movedim(0, -1).contiguous(), v


def every_order(autocorrelation: Tensor) -> tuple[Tensor, Tensor]:
    """As `levinson`, for all orders: coefficients (..., P + 1, P), of which row p has a_1 .. a_p and then zeros, and variances
    (..., P + 1)."""
    order = autocorrelation.shape[-1] - 1
    found = [(F.pad(a.movedim(0, -1), (0, order - p)), v) for p, (a, v) in enumerate(recursion(autocorrelation))]
    coefficients, variances = zip(*found, strict=True)
    return torch.stack(coefficients, -2), torch.stack(variances, -1)


def recursion(autocorrelation: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """As `levinson`, for orders p = 0, 1, .. P in turn: coefficients (p, ...), valid until the next is asked for, and
    variances (...)."""
    r = autocorrelation.movedim(-1, 0).contiguous()
    order, past = len(r) - 1, r.flip(0)
    a, v = torch.zeros_like(r[1:]), r[0]
    positive = v > 0.0
    yield a[:0], v
    for p in range(1, order + 1):
        known = a[: p - 1]
        reflection = (r[p] - (known * past[order + 1 - p : order]).sum(0)) / v
        known.addcmul_(reflection, known.flip(0), value=-1.0)
        a[p - 1] = reflection
        v = v * (1.0 - reflection.square())
        positive &= v > 0.0
        yield a[:p], v
    if not bool(positive.all()):
        raise ValueError("this is no autocorrelation: it has errors whose variance is not positive")


def autocorrelation_of(coefficients: Tensor, variance: float, num_lags: int, length: int = 8192) -> Tensor:
    """r_0 .. r_{num_lags - 1} float64 of the process with variance r_0 = `variance` and coefficients a_1 .. a_P (P,).

    It is that of its response to an impulse, which has to be over after `length` samples.
    """
    from scipy.signal import lfilter

    impulse = torch.zeros(length + num_lags, dtype=torch.float64)
    impulse[0] = 1.0
    poles = torch.cat([torch.ones(1, dtype=torch.float64), -coefficients.double()])
    response = torch.from_numpy(lfilter([1.0], poles.numpy(), impulse.numpy()))
    lags = torch.stack([(response[:length] * response[k : length + k]).sum() for k in range(num_lags)])
    return variance * lags / lags[0]


def log_prob(x: Tensor, autocorrelation: Tensor) -> Tensor:
    """(N,) nats of rows x (N, T) of a process of order P with r_0 .. r_P (P + 1,), float64."""
    coefficients, variances = every_order(autocorrelation.double())
    order, x = len(variances) - 1, x.double()
    errors, spread = [], []
    for t in range(min(order, x.shape[1])):
        errors.append(x[:, t] - x[:, :t].flip(1) @ coefficients[t, :t])
        spread.append(variances[t])
    kernel = torch.cat([-coefficients[order].flip(0), coefficients.new_ones(1)])
    late = F.conv1d(x[:, None], kernel[None, None])[:, 0] if x.shape[1] > order else x[:, :0]
    errors = torch.cat([*(each[:, None] for each in errors), late], 1)
    spread = torch.cat([torch.stack(spread), variances[order].expand(late.shape[1])]) if spread else variances[order]
    return -0.5 * (errors.square() / spread + (2.0 * math.pi * spread).log()).sum(1)


def sample(noise: Tensor, autocorrelation: Tensor) -> Tensor:
    """Rows x (N, T) of the process, made of standard normal `noise` (N, T), float64."""
    from scipy.signal import lfilter, lfiltic

    coefficients, variances = every_order(autocorrelation.double())
    order, noise = len(variances) - 1, noise.double()
    x = torch.zeros_like(noise)
    for t in range(min(order, noise.shape[1])):
        x[:, t] = x[:, :t].flip(1) @ coefficients[t, :t] + variances[t].sqrt() * noise[:, t]
    if noise.shape[1] <= order:
        return x
    poles = torch.cat([coefficients.new_ones(1), -coefficients[order]]).numpy()
    for row, driven in zip(x, noise[:, order:] * variances[order].sqrt(), strict=True):
        past = lfiltic([1.0], poles, row[:order].flip(0).numpy())
        row[order:] = torch.from_numpy(lfilter([1.0], poles, driven.numpy(), zi=past)[0])
    return x
