"""Rate: what the codes of a model cost, nats per example (Alemi et al. 2018, arXiv 1711.00464, sec. 2).

0 where q(z|x) does not depend on x: the codes have collapsed, and the decoder models the data alone. By layer of codes, and by
dimension where KL(q || p) has a closed form.
"""

from typing import Any

from genarena.likelihood import Parts
from genarena.metrics.base import ArenaMetric

MANY = 256  # dimensions, beyond which a record has layers only


class RateNats(ArenaMetric):
    """E_x KL(q(z|x) || p(z)); with the distortion it is the negative bound. Neither small nor large is better."""

    title = "Rate"
    unit = "nats"
    higher_is_better = None

    def update(self, bound_parts: Parts) -> None:
        """Called once."""
        self.parts = bound_parts

    def compute(self) -> float:
        return self.parts.rate.sum(1).mean().item()

    def record(self) -> dict[str, Any]:
        """`per_layer`, from the top down, and `per_dimension`: None where only the whole is known, or they are too many."""
        rate, layers = self.parts.rate, self.parts.layers
        each = rate.mean(0)
        known = rate.shape[1] == sum(layers)
        return {
            "n": len(rate),
            "standard_error": (rate.sum(1).std() / len(rate) ** 0.5).item() if len(rate) > 1 else None,
            "closed_form": known,
            "per_layer": [part.sum().item() for part in each.split(list(layers))] if known else None,
            "per_dimension": each.tolist() if known and len(each) <= MANY else None,
        }
