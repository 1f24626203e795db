"""The subject of an evaluation: a model and a split of a data set. Also shares the work among the ranks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.errors import UserError
from genarena.evaluation.blocks import blocks_of
from genarena.evaluation.networks import Networks
from genarena.evaluation.settings import EvaluationSettings
from genarena.files.progress import Bars
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Enumerates, Weighs
from genarena.ranks import exchange, seeds
from genarena.spec import DataSpec

Item = TypeVar("Item")


class ContractBroken(ValueError):
    """A model returned something that its contract forbids: a fault of its code, which ends the evaluation."""


def check_conditions(spec: DataSpec, settings: EvaluationSettings) -> None:
    """Raise UserError if samples are to be prompted, and the data has no condition with a fixed list."""
    if settings.conditions != "prompted":
        return
    if spec.condition is None:
        raise UserError("evaluation.conditions=prompted: models of this data have no condition (data.condition=label)")
    try:
        spec.condition.in_turn(1)
    except ValueError as error:
        raise UserError(f"evaluation.conditions=prompted: {error}") from error


class Subject:
    """A model in eval mode, a data set that is set up, and the shared settings: all evidence is made from these.

    run_seed: that of the model's training. Runs with different seeds draw different samples, so that the scatter of
    their numbers has that of sampling in it.
    """

    def __init__(
        self, model: GenerativeModel, data: ArenaDataModule, settings: EvaluationSettings, bars: Bars, run_seed: int = 0
    ) -> None:
        self.model, self.data, self.settings, self.bars = model, data, settings, bars
        self.seeds = (settings.sample_seed, run_seed)
        check_conditions(data.spec, settings)
        self.networks = Networks(data, settings.features, settings.split, model.device, bars)

    @property
    def model_name(self) -> str:
        return type(self.model).__name__

    def test(self, limit: int) -> Split:
        """At most `limit` test examples, drawn with a fixed seed, because the first ones of a file may be easier."""
        split = self._held_out
        if limit >= split.size:
            return split
        return split[torch.randperm(split.size, generator=torch.Generator().manual_seed(0))[:limit]]

    def split_name(self, limit: int) -> str:
        """The name of `test(limit)` in a record."""
        name = self.settings.split
        return name if limit >= self._held_out.size else f"{name}, {limit:,} at random"

    @property
    def _held_out(self) -> Split:
        return getattr(self.data, self.settings.split)

    @property
    def num_samples(self) -> int:
        """How many samples are drawn: `num_samples`, or as many as a model that has finitely many can give."""
        wanted = self.settings.num_samples
        return min(wanted, self.model.size) if isinstance(self.model, Enumerates) else wanted

    def sample_slices(self) -> list[slice]:
        """The blocks of the samples; a single one for a model whose samples must not repeat."""
        whole = isinstance(self.model, Enumerates)
        return [slice(0, self.num_samples)] if whole else self.slices(self.num_samples)

    def require(self, examples: int, because: str = "", samples: int = 1) -> None:
        """Raise Unavailable if there are fewer test examples or samples than `examples`, or fewer samples than `samples`."""
        num_test, num_samples = min(self._held_out.size, self.settings.num_test), self.num_samples
        reason = f" ({because})" if because else ""
        if num_samples < samples:
            raise Unavailable(f"needs at least {samples:,} samples{reason}; there are {num_samples:,}")
        if min(num_test, num_samples) < examples:
            raise Unavailable(
                f"needs at least {examples:,} of both{reason}; there are {num_test:,} test examples and "
                f"{num_samples:,} samples"
            )

    def require_weights(self) -> None:
        """Raise Unavailable unless more draws tighten the model's bound on the likelihood."""
        kind = self.model.likelihood
        if kind is not Likelihood.LOWER_BOUND:
            raise Unavailable(f"{self.model_name} has no lower bound to tighten (likelihood: {kind.value})")
        if not isinstance(self.model, Weighs):
            raise Unavailable(f"more draws do not tighten the bound of {self.model_name}")

    @property
    def given(self) -> dict[str, str]:
        """`given`: what likelihoods are conditional on, for their records; empty for an unconditional model."""
        condition = self.data.spec.condition
        return {"given": condition.kind} if condition else {}

    def conditions(self, start: int, count: int) -> Tensor | None:
        """Conditions of `count` samples from sample `start` on, on the CPU; None for an unconditional model.

        Paired: sample i has that of test example i; if there are more samples than test examples, these start again.
        Prompted: sample i has entry i of a fixed list.
        """
        condition = self.data.spec.condition
        if not condition:
            return None
        if self.settings.conditions == "prompted":
            return condition.in_turn(start + count)[start:]
        y = self._held_out.y
        return y[torch.arange(start, start + count) % len(y)]

    def on_device(self, split: Split) -> tuple[Tensor, Tensor | None]:
        """x and, if models are conditional, y, on the model's device."""
        device = self.model.device
        return split.x.to(device), split.y.to(device) if self.data.spec.condition else None

    def log_prob(self, num_test: int, draws: int, title: str) -> Tensor:
        """(N,) float64 nats of at most `num_test` test examples, with `draws` Monte-Carlo draws each. Raises Unavailable if
        the model has no likelihood, ContractBroken for another shape."""
        if self.model.likelihood is Likelihood.NONE:
            raise Unavailable(f"{self.model_name} has no likelihood")
        split = self.test(num_test)

        def values(block: slice) -> Tensor:
            part = split[block]
            values = self.model.log_prob(*self.on_device(part), num_samples=draws)
            if tuple(values.shape) != (part.size,):
                shape = tuple(values.shape)
                raise ContractBroken(f"{self.model_name}.log_prob gave shape {shape}, expected {(part.size,)}")
            return values.double()

        return torch.cat(self.blocks(values, self.slices(split.size), title))

    def slices(self, count: int) -> list[slice]:
        """The blocks (`genarena.evaluation.blocks`) of `count` samples or examples of this data."""
        return blocks_of(count, self.data.spec)

    def blocks(self, work: Callable[[Item], Any], items: Sequence[Item], title: str) -> list[Any]:
        """The results of `work` on every item. The ranks share the items; each item has its own seed, so that the results do
        not depend on the number of ranks."""

        def seeded(numbered: tuple[int, Item]) -> Any:
            torch.manual_seed(seeds.derived(*self.seeds, numbered[0]))
            result = work(numbered[1])
            return result.cpu() if isinstance(result, Tensor) else result

        def track(own: Sequence) -> Iterable:
            return self.bars.track(own, title)

        return exchange.spread(seeded, list(enumerate(items)), track)
