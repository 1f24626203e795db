"""CLIPScore: does a CLIP find that pictures and their captions go together? (Hessel et al. 2021, arXiv 2104.08718.)

Differs from the paper: 100 times the cosine, as in torchmetrics, not 2.5 times; and no "A photo depicts" before the caption.
Numbers of other scales, architectures or weights do not compare, and the record has all three.
"""

from typing import Any

from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from genarena.metrics.base import ArenaMetric, Unavailable


class CLIPScore(ArenaMetric):
    """max(mean of 100 cos(picture, caption), 0) over the samples.

    `real` in the record is that of the test images with their captions, `shuffled` that of test images with captions of
    others: samples that ignore their text are there. The score hardly sees numbers, places, and which colour is of what.
    """

    title = "CLIPScore"
    range = (0.0, 100.0)
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("cosines", default=[], dist_reduce_fx="cat")
        self.real, self.shuffled = 0.0, 0.0

    def update(self, clip_reader: object, fake_cosines: Tensor, real_cosines: Tensor) -> None:
        """Cosines of samples and their captions (N,); of test images with their own caption and another's (2, M)."""
        self.cosines.append(fake_cosines.double())
        self.real, self.shuffled = (_score(cosines) for cosines in real_cosines)

    def compute(self) -> float:
        if not self.cosines or not len(dim_zero_cat(self.cosines)):
            raise Unavailable("there are no samples")
        return _score(dim_zero_cat(self.cosines))

    def record(self) -> dict[str, Any]:
        found = dim_zero_cat(self.cosines)
        error = 100.0 * found.std().item() / len(found) ** 0.5 if len(found) > 1 else None
        floors = {"real": self.real, "real_from": "test", "shuffled": self.shuffled}
        return {"n": len(found), "standard_error": error, **floors, "scale": "max(100 cos, 0)"}


def _score(cosines: Tensor) -> float:
    return max(100.0 * cosines.double().mean().item(), 0.0)
