"""Whether samples show the attributes that were asked for, by the predictions of the domain classifiers.

As `class_accuracy` (Odena et al. 2017, arXiv 1610.09585, sec. 4.2), for data with attributes in place of classes.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.statistics.balanced_accuracy import FEWEST, balanced_accuracy


class AttributeAccuracy(ArenaMetric):
    """Mean over attributes of the balanced accuracy: a model that ignores what it is asked for has 1/2.

    An attribute that fewer than 10 samples are asked for, or all but fewer than 10, is not counted. `real` in the record is
    the same of the classifiers on test images, the mean over them, which is the ceiling for samples like real ones.
    """

    title = "attr. accuracy"
    unit = ""
    range = (0.0, 1.0)
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("shown", default=[], dist_reduce_fx="cat")
        self.add_state("asked", default=[], dist_reduce_fx="cat")
        self.real = 0.0

    def update(self, fake_attributes: Tensor, conditions: Tensor, domain_accuracy: float) -> None:
        """What samples show, `fake_attributes` (N, K) bool, and were asked for, `conditions` (N, K), 0 or 1."""
        self.shown.append(fake_attributes.cpu())
        self.asked.append(conditions.cpu())
        self.real = domain_accuracy

    def compute(self) -> float:
        shown, asked = (torch.cat(list(part)) for part in (self.shown, self.asked))
        found = balanced_accuracy(shown, asked)
        if not found.attributes:
            raise Unavailable(
                f"there is no attribute that {FEWEST} of {len(asked)} samples are asked for and {FEWEST} not"
            )
        self.facts = {
            "n": len(asked),
            "standard_error": found.standard_error,
            "attributes": f"{found.attributes} of {asked.shape[1]}",
        }
        return found.value

    def record(self) -> dict[str, Any]:
        return {**self.facts, "chance": 0.5, "real": self.real, "real_from": "test"}
