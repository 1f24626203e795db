"""What a metric is here: a torchmetrics `Metric` that also says what its number means."""

import hashlib
import math
from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from genarena.errors import ArenaError
from genarena.likelihood import Likelihood
from genarena.statistics.frechet import frechet_distance, gaussian_statistics

HASHED_AT_ONCE = 4096  # rows


class Unavailable(Exception):
    """A metric cannot be had for this model or data; the text is the `reason` that stands in the row beside null.

    facts: JSON-able numbers that stand there too.
    """

    def __init__(self, reason: str, facts: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.facts = facts or {}


def finite_rows(name: str, rows: Tensor) -> Tensor:
    """The rows (N, F) on the CPU. Raises ArenaError with the first row that is not finite, and how many there are."""
    broken = (~torch.isfinite(rows)).any(dim=1)
    if broken.any():
        raise ArenaError(
            f"{name} features: {int(broken.sum())} of {len(rows)} rows are not finite, the first is row "
            f"{int(broken.nonzero()[0])}"
        )
    return rows.detach().cpu()


def content_order(rows: Tensor) -> Tensor:
    """Indices (N,) that put rows (N, *shape) in the order of a hash of their content.

    It shuffles like a permutation with a fixed seed, and does not depend on the order that the rows came in.
    """
    digests = [
        hashlib.blake2b(row.tobytes(), digest_size=16).digest()
        for part in rows.split(HASHED_AT_ONCE)
        for row in part.numpy()
    ]
    return torch.tensor(sorted(range(len(digests)), key=digests.__getitem__))


def joined(parts: list[Tensor]) -> Tensor:
    """One tensor; a single part is not copied, for features of 50,000 images are large."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class ArenaMetric(torchmetrics.Metric):
    """One number of the protocol.

    A subclass has a `title`, and a docstring. The parameters of its `update` name pieces of evidence, each given whole and
    once: `real`, `fake`, `train` (N, *shape), examples of the test split, samples and training examples; `real_features`,
    `fake_features`, `train_features` (N, F) in `features.space`; `log_prob` (N,) nats with `likelihood`; `spec`; and the others
    of `genarena.evaluation.evidence`; a wrong name lists them all. `compute` returns the number, and raises
    `Unavailable(reason)` when there is none. `record` adds what belongs beside the value (n, k, backbone, split). Sums are
    float64, so that the result depends neither on batch size nor on order.
    """

    title: ClassVar[str]  # the column's heading
    unit: ClassVar[str] = ""
    higher_is_better: ClassVar[bool | None] = False
    min_examples: ClassVar[int] = 1  # of test examples and of samples: with fewer, nothing is computed for it
    too_few: ClassVar[str] = ""  # what would be wrong with fewer
    full_state_update = False

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)  # `evaluate` brings the evidence of all ranks together

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
        """Features (N, F) and (M, F); raises ArenaError when some are not finite."""
        self.real_rows.append(finite_rows("real", real))
        self.fake_rows.append(finite_rows("fake", fake))

    def rows(self, at_least: int = 2) -> tuple[Tensor, Tensor]:
        """All real and all fake rows; raises Unavailable when either set has fewer than `at_least`."""
        real, fake = joined(self.real_rows), joined(self.fake_rows)
        if min(len(real), len(fake)) < at_least:
            raise Unavailable(
                f"needs {at_least} examples of each kind; there are {len(real)} real and {len(fake)} generated"
            )
        return real, fake

    def record(self) -> dict[str, Any]:
        return {"n": sum(map(len, self.fake_rows)), "n_real": sum(map(len, self.real_rows))}


class FrechetMetric(TwoSampleMetric):
    """Frechet distance between Gaussians fitted to both sets of features, which must outnumber their dimensions."""

    too_few = "with fewer the covariance of the features is singular"

    def compute(self) -> float:
        real, fake = self.rows(at_least=self.min_examples)
        fewest, dims = min(len(real), len(fake)), real.shape[1]
        if fewest <= dims:
            raise Unavailable(
                f"{fewest:,} examples leave the covariance of {dims:,} features singular: needs at least "
                f"{dims + 1:,} of both"
            )
        return frechet_distance(*gaussian_statistics(real), *gaussian_statistics(fake))


class LikelihoodMetric(ArenaMetric):
    """Mean over test examples of something that a log-probability gives; keeps one float64 per example."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("values", default=[], dist_reduce_fx="cat")
        self.likelihood = Likelihood.NONE
        self.shared_error = 0.0

    def keep(self, values: Tensor, likelihood: Likelihood, shared_error: float = 0.0) -> None:
        """`values` (N,); `likelihood` says how to read them; `shared_error`: the standard error that all of them share."""
        self.values.append(values.detach().double().cpu())
        self.likelihood, self.shared_error = likelihood, shared_error

    def compute(self) -> float:
        """The mean; Unavailable when one value is not finite, for a mean over the rest would flatter the model."""
        values = dim_zero_cat(self.values)
        broken = int((~torch.isfinite(values)).sum())
        if broken:
            raise Unavailable(f"{broken} of {len(values)} test examples have a log-probability that is not finite")
        return values.mean().item()

    def record(self) -> dict[str, Any]:
        values = dim_zero_cat(self.values)
        error = math.hypot(values.std().item() / len(values) ** 0.5, self.shared_error) if len(values) > 1 else None
        return {
            "n": len(values),
            "standard_error": error,
            "likelihood": self.likelihood.value,
            "sign": self.likelihood.sign,
        }
