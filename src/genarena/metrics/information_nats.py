"""Mutual information of data and codes, nats (Hoffman & Johnson 2016, "ELBO surgery", eq. 7; as a bound from N examples van den
Oord et al. 2018, arXiv 1807.03748).

What a draw of the code says about which of the N test examples it is from: at most log N, which is in the record.
"""

import math
from typing import Any

from torch import Tensor

from genarena.metrics.base import ArenaMetric


class InformationNats(ArenaMetric):
    """E log q(z_n|x_n) / (1/N sum_m q(z_n|x_m)) <= I(x; z); of a hierarchy that of its top layer."""

    title = "Information"
    unit = "nats"
    higher_is_better = None

    def update(self, code_information: Tensor) -> None:
        """(N,) nats. Called once."""
        self.values = code_information

    def compute(self) -> float:
        return self.values.mean().item()

    def record(self) -> dict[str, Any]:
        n = len(self.values)
        return {
            "n": n,
            "standard_error": (self.values.std() / n**0.5).item() if n > 1 else None,
            "at_most": math.log(n),
        }
