"""Wall time per generated example; defined here: measured by a clock around the calls of `sample`."""

from typing import Any

from genarena.metrics.base import ArenaMetric


class SamplingSeconds(ArenaMetric):
    """Seconds per sample, the mean over all samples of the evaluation, drawn in batches of the recorded size."""

    title = "sampling"
    unit = "seconds"
    range = (0.0, None)

    def __init__(self) -> None:
        super().__init__()
        self.seconds = float("nan")
        self.sampler: dict[str, Any] = {}

    def update(self, seconds_per_image: float, sampler: dict[str, Any]) -> None:
        """`sampler`: n, batch size, network evaluations per sample, device."""
        self.seconds, self.sampler = seconds_per_image, sampler

    def compute(self) -> float:
        return self.seconds

    def record(self) -> dict[str, Any]:
        return self.sampler
