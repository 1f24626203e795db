"""The aggregate posterior q(z) = 1/N sum_n q(z|x_n), seen through one batch, and how far its dimensions depend on each other.

    KL(q(z|x) || p(z)) on average  =  I(x; z)  +  TC(z)  +  sum_j KL(q(z_j) || p(z_j))       (Chen et al. 2018, eq. 2)

I(x; z) is the mutual information, TC(z) = KL(q(z) || prod_j q(z_j)) the total correlation, and the last term the
dimension-wise KL. The three need log q(z) and log q(z_j) at draws z, which a batch of M of the N examples can only estimate.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from genarena.models.vae.diagonal_normal import Gaussian

Sampling = Literal["weighted", "stratified"]


class Decomposition(NamedTuple):
    """Means over a batch, nats. They sum to the mean of log q(z|x) - log p(z), whatever the weights are."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def log_densities(z: Tensor, posterior: Gaussian) -> Tensor:
    """log q(z_i|x_j) of draws z (M, D) under each posterior of the batch; (M, M, D) nats: draw, posterior, dimension."""
    return Gaussian(posterior.mean[None], posterior.log_var[None]).log_prob(z[:, None])


def log_weights(size: int, num_data: int, sampling: Sampling, device: torch.device | str | None = None) -> Tensor:
    """Logarithms of the weights of q(z_i|x_j), j = 1 .. M, in an estimate of q(z_i); (M, M).

    weighted: 1 / (N M) each (Chen et al. 2018, eq. 5). In expectation log q(z) comes out too small, by about log N where
        posteriors overlap little; the gradient is that of weights 1 / M.
    stratified: 1 / N for x_i itself, from which z_i was drawn, and (N - 1) / (N (M - 1)) for each of the others (app. C.2).
        The estimate of q(z_i) is unbiased, and exact if the batch is the whole data. The paper gives one of the others a
        weight of its own, which is the same on average.
    Raises ValueError if the batch has more examples than the data.
    """
    if size > num_data:
        raise ValueError(f"num_data={num_data}: a batch has {size} examples, so the training data has at least as many")
    if sampling == "weighted" or size == 1:
        return torch.full((size, size), -math.log(num_data * size), device=device)
    others = math.log(num_data - 1) - math.log(num_data * (size - 1))
    return torch.full((size, size), others, device=device).fill_diagonal_(-math.log(num_data))


def decomposition(z: Tensor, posterior: Gaussian, prior: Gaussian, num_data: int, sampling: Sampling) -> Decomposition:
    """The three terms of a batch of posteriors, z (M, D) a draw of each; float32."""
    pairs = log_densities(z, posterior)
    weights = log_weights(len(z), num_data, sampling, z.device)
    log_q = torch.logsumexp(weights + pairs.sum(2), 1)  # (M,)
    log_marginals = torch.logsumexp(weights[:, :, None] + pairs, 1).sum(1)  # (M,)
    log_own, log_prior = posterior.log_prob(z).sum(1), prior.log_prob(z).sum(1)
    return Decomposition((log_own - log_q).mean(), (log_q - log_marginals).mean(), (log_marginals - log_prior).mean())


def index_information(z: Tensor, log_own: Tensor, log_q: Callable[[Tensor], Tensor], at_once: int = 64) -> Tensor:
    """log q(z_n|x_n) - log 1/N sum_m q(z_n|x_m), (N,) nats; z (N, D) a draw of each posterior, log_own (N,) its log q.

    log_q: log q(z|x_m) of codes (M, D) under all N posteriors, (M, N). The mean over n is log N - E H(n|z), the information
    about which example it is; of N examples from a distribution it bounds I(x; z) from below in expectation."""
    log_aggregate = torch.cat([torch.logsumexp(log_q(part), 1) for part in z.split(at_once)]) - math.log(len(z))
    return log_own - log_aggregate


def permuted(z: Tensor) -> Tensor:
    """z (N, D) with the rows of each dimension in an order of its own: about a draw from prod_j q(z_j) (Kim & Mnih, alg. 1)."""
    order = torch.rand(z.shape, device=z.device).argsort(0)
    return z.gather(0, order)
