"""The subject of an evaluation: a model and a split of a data set. Also shares the work among the ranks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.evaluation.blocks import blocks_of
from genarena.evaluation.networks import Networks
from genarena.evaluation.possible import refuse_impossible
from genarena.evaluation.settings import EvaluationSettings
from genarena.files.progress import Bars
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Weighs
from genarena.ranks import exchange, seeds

Item = TypeVar("Item")


class ContractBroken(ValueError):
    """A model returned something that its contract forbids: a fault of its code, which ends the evaluation."""


class Subject:
    """A model in eval mode, a data set that is set up, and the settings of the evaluation: all evidence is made from these.

    run_seed: that of the model's training. Runs with different seeds draw different samples, so that the scatter of
    their numbers has that of sampling in it.
    """

    def __init__(
        self, model: GenerativeModel, data: ArenaDataModule, settings: EvaluationSettings, bars: Bars, run_seed: int = 0
    ) -> None:
        self.model, self.data, self.settings, self.bars = model, data, settings, bars
        self.seeds = (settings.sample_seed, run_seed)
        self.networks = Networks(data, settings.features, settings.split, model.device, bars)

    @property
    def model_name(self) -> str:
        return type(self.model).__name__

    def test(self, limit: int) -> Split:
        """At most `limit` test examples, drawn with a fixed seed, because the first ones of a file may be easier."""
        split = self.held_out
        if limit >= split.size:
            return split
        return split[torch.randperm(split.size, generator=torch.Generator().manual_seed(0))[:limit]]

    def split_name(self, limit: int) -> str:
        """The name of `test(limit)` in a record."""
        name = self.settings.split
        return name if limit >= self.held_out.size else f"{name}, {limit:,} at random"

    @property
    def held_out(self) -> Split:
        """The whole split that is evaluated."""
        return getattr(self.data, self.settings.split)

    def require_weights(self) -> None:
        """Raise Unavailable unless more draws tighten the model's bound on the likelihood."""
        kind = self.model.likelihood
        if kind is not Likelihood.LOWER_BOUND:
            raise Unavailable(f"{self.model_name} has no lower bound to tighten (likelihood: {kind.value})")
        if not isinstance(self.model, Weighs):
            raise Unavailable(f"more draws do not tighten the bound of {self.model_name}")
        if not self.model.draws_matter:
            raise Unavailable(
                f"{self.model_name} draws the noise within a level alone, and of {self.data.spec.num_levels:,} levels it "
                "hardly matters: bits_per_dim of one draw is as tight"
            )

    @property
    def given(self) -> dict[str, str]:
        """`given`: what likelihoods are conditional on, for their records; empty for an unconditional model."""
        condition = self.data.spec.condition
        return {"given": condition.kind} if condition else {}

    def on_device(self, split: Split) -> tuple[Tensor, Tensor | None]:
        """x and, if models are conditional, y, on the model's device."""
        device, condition = self.model.device, self.data.spec.condition
        return split.x.to(device), split.given(condition).to(device) if condition else None

    def log_prob(self, split: Split, draws: int, title: str) -> Tensor:
        """(N,) float64 nats of these examples, with `draws` Monte-Carlo draws each. Raises Unavailable if the model has no
        likelihood, or values that no likelihood can have; ContractBroken for another shape."""
        if self.model.likelihood is Likelihood.NONE:
            raise Unavailable(f"{self.model_name} has no likelihood")

        def values(block: slice) -> Tensor:
            part = split[block]
            values = self.model.log_prob(*self.on_device(part), num_samples=draws)
            if tuple(values.shape) != (part.size,):
                shape = tuple(values.shape)
                raise ContractBroken(f"{self.model_name}.log_prob gave shape {shape}, expected {(part.size,)}")
            return values.double()

        return self.possible(torch.cat(self.blocks(values, self.slices(split.size), title)), split)

    def possible(self, log_prob: Tensor, split: Split) -> Tensor:
        """Log-probabilities (N,) of a split. Raises Unavailable for values that none can have."""
        refuse_impossible(log_prob, split, self.data, self.model.likelihood)
        return log_prob

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
