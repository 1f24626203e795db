"""Distortion: what codes leave unsaid of the data, nats per example (Alemi et al. 2018, arXiv 1711.00464, sec. 2)."""

from typing import Any

from genarena.likelihood import Parts
from genarena.metrics.base import ArenaMetric


class DistortionNats(ArenaMetric):
    """E_x E_q(z|x)[-log p(x|z)]; with the rate it is the negative bound. A model without codes has its whole loss here."""

    title = "Distortion"
    unit = "nats"
    higher_is_better = None

    def update(self, bound_parts: Parts) -> None:
        """Called once."""
        self.values = bound_parts.distortion

    def compute(self) -> float:
        return self.values.mean().item()

    def record(self) -> dict[str, Any]:
        n = len(self.values)
        return {"n": n, "standard_error": (self.values.std() / n**0.5).item() if n > 1 else None}
