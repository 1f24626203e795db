"""Active units: dimensions of the code whose posterior mean depends on the example (Burda et al. 2016, arXiv 1509.00519,
app. C).

A unit is active if the variance over test examples of its posterior mean, in standard deviations of the prior, is above 0.01.
In a hierarchy the mean is taken from that of p given the layers above, so that a layer that only repeats p is not active.
"""

from typing import Any

from genarena.likelihood import Parts
from genarena.metrics.base import ArenaMetric, Unavailable

LEAST = 0.01


class ActiveUnits(ArenaMetric):
    """Number of d with Var_x(E_q(z|x)[z_d]) > 0.01."""

    title = "Active units"
    higher_is_better = None
    range = (0.0, None)

    def update(self, bound_parts: Parts) -> None:
        """Called once."""
        self.parts = bound_parts

    def compute(self) -> float:
        if not self.parts.shift.shape[1]:
            raise Unavailable("codes that are indices have no mean; perplexity and usage of the codebook are logged")
        if len(self.parts.shift) < 2:
            raise Unavailable("needs at least 2 test examples, for a variance")
        return float(sum(self._active()))

    def _active(self) -> list[int]:
        """Per layer, from the top down."""
        active = self.parts.shift.var(0) > LEAST
        return [int(part.sum()) for part in active.split(list(self.parts.layers))]

    def record(self) -> dict[str, Any]:
        layers = list(self.parts.layers)
        return {
            "n": len(self.parts.shift),
            "units": sum(layers),
            "per_layer": self._active(),
            "units_per_layer": layers,
        }
