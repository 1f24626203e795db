"""What a metric is here: a torchmetrics `Metric` that also says what its number means."""

from typing import Any, ClassVar

import torchmetrics


class Unavailable(Exception):
    """A metric cannot be had for this model or data; the text is the `reason` that stands in the row beside null."""


class ArenaMetric(torchmetrics.Metric):
    """One number of the protocol.

    `update` takes keyword arguments named from the evidence that `genarena.evaluate` can produce; `compute` returns the
    number, and raises `Unavailable(reason)` when there is none. `record` adds what belongs beside the value (n, k,
    backbone, split). States are float64 or counts, so that the result depends neither on batch size nor on order.
    """

    title: ClassVar[str]  # the column's heading
    unit: ClassVar[str] = ""
    higher_is_better: ClassVar[bool | None] = False
    full_state_update = False

    def record(self) -> dict[str, Any]:
        """JSON-able facts that belong beside the value."""
        return {}
