"""What a metric is here: a torchmetrics `Metric` that also says what its number means."""

from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from genarena.likelihood import Likelihood


class Unavailable(Exception):
    """A metric cannot be had for this model or data; the text is the `reason` that stands in the row beside null."""


class ArenaMetric(torchmetrics.Metric):
    """One number of the protocol.

    `update` takes keyword arguments named from the evidence that `genarena.evidence` can produce; `compute` returns the
    number, and raises `Unavailable(reason)` when there is none. `record` adds what belongs beside the value (n, k,
    backbone, split). States are float64 or counts, so that the result depends neither on batch size nor on order.
    """

    title: ClassVar[str]  # the column's heading
    unit: ClassVar[str] = ""
    higher_is_better: ClassVar[bool | None] = False
    min_examples: ClassVar[int] = 1  # of test examples and of samples: with fewer, nothing is computed for it
    full_state_update = False

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)  # one process evaluates; the others are done

    def record(self) -> dict[str, Any]:
        """JSON-able facts that belong beside the value."""
        return {}


class TwoSampleMetric(ArenaMetric):
    """Compares rows of features of generated and of real examples; keeps both until `compute`."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("real_rows", default=[], dist_reduce_fx="cat")
        self.add_state("fake_rows", default=[], dist_reduce_fx="cat")

    def keep(self, real: Tensor, fake: Tensor) -> None:
        """Features (N, F) and (M, F); raises ValueError with the number of rows that are not finite."""
        for name, rows in (("real", real), ("fake", fake)):
            broken = int((~torch.isfinite(rows)).any(dim=1).sum())
            if broken:
                raise ValueError(f"{name} features: {broken} of {len(rows)} rows are not finite")
        self.real_rows.append(real.detach().double().cpu())
        self.fake_rows.append(fake.detach().double().cpu())

    def rows(self, at_least: int = 2) -> tuple[Tensor, Tensor]:
        """All real and all fake rows, float64; raises Unavailable when either set has fewer than `at_least`."""
        real, fake = dim_zero_cat(self.real_rows), dim_zero_cat(self.fake_rows)
        if min(len(real), len(fake)) < at_least:
            raise Unavailable(
                f"needs {at_least} examples of each kind; there are {len(real)} real and {len(fake)} generated"
            )
        return real, fake

    def record(self) -> dict[str, Any]:
        return {"n": sum(map(len, self.fake_rows)), "n_real": sum(map(len, self.real_rows))}


class LikelihoodMetric(ArenaMetric):
    """Mean over test examples of something that a log-probability gives; keeps one float64 per example."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("values", default=[], dist_reduce_fx="cat")
        self.likelihood = Likelihood.NONE

    def keep(self, values: Tensor, likelihood: Likelihood) -> None:
        """`values` (N,); `likelihood` says how to read them."""
        self.values.append(values.detach().double().cpu())
        self.likelihood = likelihood

    def compute(self) -> float:
        """The mean; Unavailable when one value is not finite, for a mean over the rest would flatter the model."""
        values = dim_zero_cat(self.values)
        broken = int((~torch.isfinite(values)).sum())
        if broken:
            raise Unavailable(f"{broken} of {len(values)} test examples have a log-probability that is not finite")
        return values.mean().item()

    def record(self) -> dict[str, Any]:
        values = dim_zero_cat(self.values)
        error = (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None
        return {"n": len(values), "standard_error": error,
                "likelihood": self.likelihood.value, "sign": self.likelihood.sign}  # fmt: skip
