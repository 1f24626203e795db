"""R-precision of samples (Xu et al. 2018, arXiv 1711.10485, sec. 4.1): is a picture's own caption found among 100?

Differs from the paper: the encoders are small, and trained on the pairs of the data set at hand
(`genarena.evaluation.caption_encoder`), so numbers of two data sets do not compare.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable


class CaptionRetrieval(ArenaMetric):
    """Share of the samples whose caption is nearest to them among `num_captions` different captions of the split.

    `real` in the record is that of the test images themselves, the ceiling for samples like real ones; `chance` is the floor.
    """

    title = "R-precision"
    range = (0.0, 1.0)
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("count", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.real, self.among = 0.0, 1

    def update(self, fake_found: Tensor, real_found: Tensor, num_captions: int) -> None:
        """Whether the own caption was found, of samples (N,) and of test images (M,), bool."""
        self.right += int(fake_found.sum())
        self.count += len(fake_found)
        self.real, self.among = real_found.double().mean().item(), num_captions

    def compute(self) -> float:
        if not self.count:
            raise Unavailable("there are no samples")
        return int(self.right) / int(self.count)

    def record(self) -> dict[str, Any]:
        n, share = int(self.count), self.compute()
        error = (share * (1.0 - share) / n) ** 0.5
        chance = {"num_captions": self.among, "chance": 1.0 / self.among}
        return {"n": n, "standard_error": error, "real": self.real, "real_from": "test", **chance}
