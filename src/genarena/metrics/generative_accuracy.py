"""Accuracy of the generative classifier: is a test example most likely under its own label?

argmax_y log p(x | y), Bayes' rule for labels that are equally frequent. For deep generative models: Fetaya et al. 2020, arXiv
1906.01171; with the bound of a diffusion model: Li et al. 2023, arXiv 2303.16203, sec. 3.

The log-likelihood under the own label, the mean log p(x | y), is `nll_nats` and `bits_per_dim` of a conditional run.
"""

import math
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import ArenaMetric, Unavailable


class GenerativeAccuracy(ArenaMetric):
    """Share of the test examples whose own label has the highest log p(x | y), exact or a bound.

    A bound may be tighter under one label than under another, so its classifier is not that of the model: `log_likelihoods`
    says which they are. A model that is a classifier too (JEM) has p(y | x) itself, with label frequencies of its own. A tie
    counts as wrong.
    """

    title = "gen. accuracy"
    unit = ""
    range = (0.0, 1.0)
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("count", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("cross_entropy", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("marginal", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.likelihood, self.classifies, self.num_labels = Likelihood.NONE, False, 0

    def update(
        self, label_log_prob: Tensor, labels_looked_up: Tensor, likelihood: Likelihood, classifies: bool
    ) -> None:
        """`label_log_prob` (N, K) float64 nats, log p(x | y) under every label, or log p(y | x) of a model that `classifies`;
        `labels_looked_up` (N,) the true ones."""
        broken = int((~label_log_prob.isfinite()).any(1).sum())
        if broken:
            raise Unavailable(
                f"{broken} of {len(label_log_prob)} test examples have a log-probability that is not finite"
            )
        own = label_log_prob.gather(1, labels_looked_up[:, None]).squeeze(1)
        others = label_log_prob.scatter(1, labels_looked_up[:, None], -math.inf)
        total = label_log_prob.logsumexp(1)
        self.right += int((own > others.amax(1)).sum())
        self.count += len(own)
        self.cross_entropy += (total - own).sum()
        self.marginal += (total - math.log(label_log_prob.shape[1])).sum()
        self.likelihood, self.classifies, self.num_labels = likelihood, classifies, label_log_prob.shape[1]

    def compute(self) -> float:
        if not self.count:
            raise Unavailable("there are no test examples")
        return int(self.right) / int(self.count)

    def record(self) -> dict[str, Any]:
        """`cross_entropy_nats`: mean -log p(y | x). `nll_nats_without_label`: mean -log p(x), p(x) the mean of p(x | y) over
        all labels: it compares with `nll_nats` of an unconditional run. `chance`: of a guess."""
        n, share = int(self.count), self.compute()
        found = {
            "n": n,
            "standard_error": (share * (1 - share) / n) ** 0.5,
            "chance": 1.0 / self.num_labels,
            "cross_entropy_nats": float(self.cross_entropy) / n,
        }
        if self.classifies:  # there is no p(x | y) by itself
            return found | {"labels": "as frequent as the model has them"}
        return found | {
            "log_likelihoods": self.likelihood.value,
            "labels": "equally frequent",
            "nll_nats_without_label": -float(self.marginal) / n,
        }
