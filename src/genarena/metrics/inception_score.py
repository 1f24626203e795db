"""Inception score (Salimans et al. 2016, arXiv 1606.03498): are the predicted classes certain per sample, and many overall?

The mean over 10 splits, as is usual; the score of a split depends on its size. A hash of a sample's content decides its
split, so that the order of the samples does not matter (torch-fidelity shuffles them with a fixed seed instead). It uses no
real images but ImageNet's classes, and so says little about data unlike ImageNet.
"""

import itertools
from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable, finite_rows, joined

SPLITS = 10


def split_scores(logits: Tensor, splits: int = SPLITS) -> Tensor:
    """exp(E_x KL(p(y|x) || p(y))) of each of `splits` consecutive parts of the logits (N, K), float64."""
    bounds = [len(logits) * index // splits for index in range(splits + 1)]
    scores = []
    for start, stop in itertools.pairwise(bounds):
        log_p = logits[start:stop].double().log_softmax(1)
        divergence = log_p.exp() * (log_p - log_p.exp().mean(0).log())
        scores.append(divergence.sum(1).mean().exp())
    return torch.stack(scores)


class InceptionScore(ArenaMetric):
    """exp(E_x KL(p(y|x) || p(y))), the mean over 10 splits; between 1 and the number of classes."""

    title = "IS"
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("logits", default=[], dist_reduce_fx="cat")

    def update(self, fake_inception_logits: Tensor, fake_order: Tensor) -> None:
        """Logits (N, 1008) without their bias, and the order (N,) of the samples for the splits."""
        self.logits.append(finite_rows("fake", fake_inception_logits[fake_order]))

    def compute(self) -> float:
        logits = joined(self.logits)
        if len(logits) < 2 * SPLITS:  # with one sample per split the score would be 1
            raise Unavailable(f"needs at least {2 * SPLITS} samples, two for each split; there are {len(logits)}")
        return split_scores(logits).mean().item()

    def record(self) -> dict[str, Any]:
        """`std`: standard deviation over the splits."""
        logits = joined(self.logits)
        return {"n": len(logits), "splits": SPLITS, "std": split_scores(logits).std(correction=0).item()}
