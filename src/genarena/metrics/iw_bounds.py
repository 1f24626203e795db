"""Importance-weighted bound on the negative log-likelihood as a curve over the number of draws, nats per example.

Burda et al. 2016, arXiv 1509.00519, theorem 1, over latent codes; over dequantisation noise, Hoogeboom et al. 2020,
arXiv 2001.11235.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from genarena.likelihood import Likelihood, log_mean_exp
from genarena.metrics.base import LikelihoodMetric


class ImportanceWeightedBounds(LikelihoodMetric):
    """-E[log(1/k sum_{i <= k} w_i)] >= -log p(x) for every k; the value is that of the largest k.

    The bound of k uses the first k of the same draws. `nats[i]` belongs to `k[i]`; in expectation it does not increase with k.
    """

    title = "IW bound"
    unit = "nats"

    def __init__(self) -> None:
        super().__init__()
        self.curve: dict[str, Any] = {}

    def update(self, iw_log_weights: Tensor, iw_bounds_k: Sequence[int], likelihood: Likelihood) -> None:
        """`iw_log_weights` (k, N) nats, k the largest of the increasing `iw_bounds_k`; called once."""
        bounds = [-log_mean_exp(iw_log_weights[:k]) for k in iw_bounds_k]
        effective = 1.0 / iw_log_weights.softmax(0).square().sum(0)
        self.curve = {
            "k": list(iw_bounds_k),
            "nats": [bound.mean().item() for bound in bounds],
            "effective_draws": effective.mean().item(),
        }
        self.keep(bounds[-1], likelihood)

    def record(self) -> dict[str, Any]:
        """`effective_draws`: (sum w)^2 / sum w^2, the mean over examples."""
        return super().record() | self.curve
