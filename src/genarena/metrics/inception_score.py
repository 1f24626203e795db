"""Inception score (Salimans et al. 2016, arXiv 1606.03498): are the predicted classes certain per sample, and many overall?

The mean over 10 splits, as is usual; the score of a split depends on its size, and is too low for few samples: of one model
1.7 with 20, 17 with 1,000 and 27 with 50,000. Hence no value below 5,000. A hash of a sample's content decides its split, so
that the order of the samples does not matter (torch-fidelity shuffles them with a fixed seed instead); copies go to different
splits. It uses no real images but ImageNet's classes, and so says little about data unlike ImageNet.
"""

import itertools
from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.statistics.rows import finite_rows, joined

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
    range = (1.0, None)
    higher_is_better = True
    min_samples = 5000
    too_few = "the score of fewer is too low"

    def __init__(self) -> None:
        super().__init__()
        self.add_state("logits", default=[], dist_reduce_fx="cat")

    def update(self, fake_inception_logits: Tensor, fake_order: Tensor) -> None:
        """Logits (N, 1008) without their bias, and the order (N,) of the samples for the splits."""
        self.logits.append(finite_rows("fake", fake_inception_logits[fake_order]))

    def compute(self) -> float:
        logits = joined(self.logits)
        if len(logits) < max(self.min_samples, 2 * SPLITS):  # with one sample per split the score would be 1
            raise Unavailable(f"needs at least {self.min_samples:,} samples; there are {len(logits):,}")
        return split_scores(logits).mean().item()

    def record(self) -> dict[str, Any]:
        """`std`: standard deviation over the splits, as in papers. `standard_error`: of their mean."""
        logits = joined(self.logits)
        scores = split_scores(logits)
        error = scores.std().item() / SPLITS**0.5
        return {
            "n": len(logits),
            "splits": SPLITS,
            "std": scores.std(correction=0).item(),
            "standard_error": error,
        }
