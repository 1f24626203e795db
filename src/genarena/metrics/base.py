"""The base of all metrics: a torchmetrics `Metric` with a title, a unit and a record."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
import torchmetrics
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from genarena.likelihood import Likelihood
from genarena.options.settings import Settings
from genarena.statistics.frechet import fit, mean_distance, mean_estimated
from genarena.statistics.kernel import Kernel, sums_within, two_sample
from genarena.statistics.manifolds import Manifolds, Overlap, Reference
from genarena.statistics.rows import finite_rows, joined


class Unavailable(Exception):
    """A metric cannot be computed for this model or data. The text is the `reason` in the row, where the value is null.

    facts: further JSON-able entries of the record.
    """

    def __init__(self, reason: str, facts: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.facts = facts or {}


class Fresh(NamedTuple):
    """Real examples in place of samples. rows: (N, ...) examples, or what a network makes of them; None if there are none, with
    the `reason`. source: the split that they are from."""

    rows: Tensor | None
    source: str = ""
    reason: str = ""

    def facts(self, statistic: Callable[[Tensor], float]) -> dict[str, Any]:
        """`real` and `real_from` of a record, or `real_reason`. statistic: the metric's value for rows in place of samples."""
        if self.rows is None:
            return {"real": None, "real_reason": self.reason}
        return {"real": statistic(self.rows), "real_from": self.source}


class ArenaMetric(torchmetrics.Metric):
    """One number of the protocol.

    A subclass has a `title` and a docstring, and writes
    - `update`: its parameters name pieces of evidence. It is called once, with whole pieces: `real`, `fake`, `train`
      (N, *shape), which are test examples, samples and training examples; `real_features`, `fake_features`, `train_features`
      (N, F) in `features.space`; `log_prob` (N,) nats, with `likelihood`; `spec`; and the others of
      `genarena.evaluation.evidence` (the error for a wrong name lists all).
    - `compute`: returns the number. Raises `Unavailable(reason)` if there is none.
    - `record`: further facts. Always `n`, the number of examples. `standard_error`, if it is known: the error of this value for
      the trained weights, because samples and test examples are finitely many. `real`, if it is known: the same statistic of
      as many real examples; `real_from` says which ones, `real_reason` why it is None.
    A metric with options has a dataclass that extends `genarena.options.settings.Settings`, and the line
    `Settings = <dataclass>`; `self.settings` are those given as `metric.<name>.<field>=...`.
    Sums are in float64, so that the result depends neither on batch size nor on order.
    """

    title: ClassVar[str]  # the column's heading
    unit: ClassVar[str] = ""
    higher_is_better: ClassVar[bool | None] = False
    towards_real: ClassVar[bool] = False  # the best value is `real` of the record; then `higher_is_better` is None
    range: ClassVar[tuple[float | None, float | None]] = (None, None)  # smallest and largest value; None: no limit
    min_examples: ClassVar[int] = 1  # smallest number of test examples and of samples; with fewer, no evidence is made
    min_samples: ClassVar[int] = 1  # smallest number of samples, if more are needed than test examples
    too_few: ClassVar[str] = ""  # the reason for these minima
    Settings: ClassVar[type[Settings]] = Settings  # its options; those of the evidence that it asks for come on top
    full_state_update = False

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)  # `evaluate` gathers the evidence of all ranks
        self.settings = self.Settings()

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Facts that are recorded with the value, `n` among them; JSON-able."""


class TwoSampleMetric(ArenaMetric):
    """Compares features of generated and of real examples; keeps both until `compute`, which may fill `facts`, further entries
    of the record."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("real_rows", default=[], dist_reduce_fx="cat")
        self.add_state("fake_rows", default=[], dist_reduce_fx="cat")
        self.fresh: Fresh | None = None
        self.facts: dict[str, Any] = {}

    def keep(self, real: Tensor, fake: Tensor, fresh: Fresh | None = None) -> None:
        """Keep features (N, F) and (M, F), and those of real examples in place of samples. Raises ArenaError if some are not
        finite."""
        self.real_rows.append(finite_rows("real", real))
        self.fake_rows.append(finite_rows("fake", fake))
        self.fresh = fresh

    def rows(self, at_least: int = 2) -> tuple[Tensor, Tensor]:
        """All real and all fake rows. Raises Unavailable if either has fewer than `at_least`."""
        real, fake = joined(self.real_rows), joined(self.fake_rows)
        if min(len(real), len(fake)) < at_least:
            raise Unavailable(
                f"needs {at_least} examples of each kind; there are {len(real)} real and {len(fake)} generated"
            )
        return real, fake

    def real_facts(self, statistic: Callable[[Tensor], float]) -> dict[str, Any]:
        """`Fresh.facts`, or nothing if no such examples were asked for."""
        return self.fresh.facts(statistic) if self.fresh else {}

    def record(self) -> dict[str, Any]:
        return {"n": sum(map(len, self.fake_rows)), "n_real": sum(map(len, self.real_rows)), **self.facts}


class FrechetMetric(TwoSampleMetric):
    """Frechet distance between Gaussians fitted to both sets of features. Needs more examples than feature dimensions.

    It is biased upwards, by more for fewer examples: compare it with `real`, the distance of as many real examples. Its
    standard error: `genarena.statistics.frechet`.
    """

    range = (0.0, None)
    too_few = "with fewer the covariance of the features is singular"

    num_networks = 1  # whose features stand side by side in a row; the value is the mean of their distances

    def compute(self) -> float:
        real, fake = self.rows(at_least=self.min_examples)
        fewest, dims = min(len(real), len(fake)), real.shape[1] // self.num_networks
        if fewest <= dims:
            raise Unavailable(
                f"{fewest:,} examples leave the covariance of {dims:,} features singular: needs at least "
                f"{dims + 1:,} of both"
            )
        references = [fit(part) for part in real.chunk(self.num_networks, dim=1)]
        (value, error), self.of_each = mean_estimated(real, fake, references)
        self.facts = {"standard_error": error}
        self.facts |= self.real_facts(
            lambda rows: mean_distance(references, [fit(part) for part in rows.chunk(self.num_networks, dim=1)])
        )
        return value


class KernelMetric(TwoSampleMetric):
    """Unbiased estimate of MMD^2 from all pairs, with a `kernel` (`genarena.statistics.kernel`).

    Its expectation is 0 for samples of the data's own distribution, at any number of examples; so it can be negative.
    """

    min_examples = 50
    too_few = "its standard error is found from the spread over the examples"
    kernel: ClassVar[Kernel]

    def compute(self) -> float:
        real, fake = self.rows(at_least=2)
        among_real = sums_within(real, self.kernel)
        value, error = two_sample(real, fake, self.kernel, among_real)
        self.facts = {"standard_error": error}
        self.facts |= self.real_facts(lambda rows: two_sample(real, rows, self.kernel, among_real).value)
        return value


class ManifoldMetric(ArenaMetric):
    """The mean over points of a count of balls around real examples or around samples; both sets have the same size."""

    min_examples = 50
    too_few = "with fewer, a ball that reaches to the fifth neighbour holds more than a tenth of the data"

    def __init__(self) -> None:
        super().__init__()
        self.manifolds: Manifolds | None = None
        self.reference: Reference | None = None

    def update(self, fake_manifolds: Manifolds, real_manifolds: Reference) -> None:
        """The test examples with the samples, and with other real examples, features (n, F) each."""
        self.manifolds, self.reference = fake_manifolds, real_manifolds

    @abstractmethod
    def values(self, overlap: Overlap) -> Tensor:
        """(n,) float64, of each sample or of each test example."""

    def compute(self) -> float:
        n, k = len(self.manifolds.fake), self.settings.k
        if n <= k:
            raise Unavailable(f"needs {k + 1} examples of each kind; there are {n}")
        return self._of(self.manifolds).mean().item()

    def _of(self, manifolds: Manifolds) -> Tensor:
        return self.values(manifolds.of(self.settings.k))

    def record(self) -> dict[str, Any]:
        n, k, other = len(self.manifolds.fake), self.settings.k, self.reference.manifolds
        found = {"real": self._of(other).mean().item() if other else None}
        found |= {"real_from": self.reference.source} if other else {"real_reason": self.reference.reason}
        error = self.manifolds.standard_error(self._of) if n > 4 * k else None
        return {"n": n, "n_real": len(self.manifolds.real), "standard_error": error, **found, "k": k}


class LikelihoodMetric(ArenaMetric):
    """Mean over test examples of a value computed from the log-probability; keeps one float64 per example."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("values", default=[], dist_reduce_fx="cat")
        self.likelihood = Likelihood.NONE
        self.shared_error = 0.0

    def keep(self, values: Tensor, likelihood: Likelihood, shared_error: float = 0.0) -> None:
        """`values` (N,); `likelihood`: exact, bound or estimate; `shared_error`: a standard error common to all values."""
        self.values.append(values.detach().double().cpu())
        self.likelihood, self.shared_error = likelihood, shared_error

    def compute(self) -> float:
        """The mean. Raises Unavailable if a value is not finite: a mean over the others would favour the model."""
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


class PairMetric(ArenaMetric):
    """The mean of one value for each pair of a real sound and a sample."""

    def keep(self, values: Tensor, real: float) -> None:
        """Values of the pairs (N,); the value of the real sounds in place of samples."""
        self.values, self.real = values.double(), real

    def compute(self) -> float:
        return self.values.mean().item()

    def record(self) -> dict[str, Any]:
        n = len(self.values)
        error = self.values.std().item() / n**0.5 if n > 1 else None
        return {"n": n, "standard_error": error, "real": self.real, "real_from": "the same sounds"}
