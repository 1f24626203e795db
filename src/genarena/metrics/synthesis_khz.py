"""Speed of synthesis: thousands of samples of sound per second of computing, one segment at a time; defined here.

Prenger, Valle & Catanzaro 2018 (arXiv 1811.00002, sec. 4.2) report it so. `real_time_factor` is the other way round: seconds of
computing per second of sound, and below 1 is faster than real time.
"""

from typing import Any

from genarena.metrics.base import ArenaMetric
from genarena.statistics.speed import Timed


class SynthesisKHz(ArenaMetric):
    """Samples per second of the calls that make one segment of its mel, in kHz, over all timed segments.

    A segment is short, so a model that pays for its edges, or for each call, is faster on a whole clip. The time of computing
    the mel is not in it. Numbers of other machines, devices and threads do not compare.
    """

    title = "synthesis"
    unit = "kHz"
    higher_is_better = True
    range = (0.0, None)

    def update(self, synthesis: Timed) -> None:
        """Wall seconds of each segment (N,), and on what they were measured."""
        self.timed = synthesis

    def compute(self) -> float:
        return self.timed.length / self.timed.seconds.mean().item() / 1000.0

    def record(self) -> dict[str, Any]:
        seconds, n = self.timed.seconds, len(self.timed.seconds)
        mean = seconds.mean().item()
        error = seconds.std().item() / n**0.5 / mean * self.compute() if n > 1 else None
        return {
            "n": n,
            "standard_error": error,
            "real_time_factor": mean * self.timed.sample_rate / self.timed.length,
            "real_time_factor_is": "seconds of computing per second of sound",
            "seconds_per_segment": mean,
            "segment": self.timed.length,
            "batch_size": 1,
            "device": self.timed.device,
            "threads": self.timed.threads,
        }
