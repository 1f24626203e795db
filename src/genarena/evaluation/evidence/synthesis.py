"""How long a model takes for the sound of one mel."""

import time
from collections.abc import Iterator

import torch

from genarena.evaluation.cost import device_name
from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.evidence.heard import NEEDED
from genarena.metrics.base import Unavailable
from genarena.models.recoding import Recodes
from genarena.statistics.speed import Timed

MOST, ENOUGH = 10, 2.0  # segments, seconds


class Synthesis(Kind):
    """Segments of the split one after the other, each in a call of its own; the first call warms up."""

    @piece
    def synthesis(self) -> Timed:
        """Of at most 10 segments, and of no more after two seconds."""
        subject, spec = self.subject, self.subject.data.spec
        if spec.condition is None or spec.condition.kind != "mel" or not spec.is_playable:
            raise Unavailable(NEEDED)
        if isinstance(subject.model, Recodes):
            raise Unavailable(f"{subject.model_name} makes no sound of a mel: it has the recording")
        seconds = torch.tensor(list(self._seconds()), dtype=torch.float64)
        device = subject.model.device
        return Timed(seconds, spec.shape[1], spec.sample_rate, device_name(device), torch.get_num_threads())

    def _seconds(self) -> Iterator[float]:
        subject, total, condition = self.subject, 0.0, self.subject.data.spec.condition
        for number in range(MOST + 1):
            place = max(0, number - 1) % subject.held_out.size
            y = subject.held_out[place : place + 1].given(condition).to(subject.model.device)
            began = time.perf_counter()
            subject.model.sample(1, y).cpu()
            took = time.perf_counter() - began
            if number:
                yield took
                total += took
            if number and total > ENOUGH:
                return
