"""What is scored: a model on a split of a data set, and how the work on it is shared among the ranks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.evaluation.networks import Networks
from genarena.evaluation.options import Settings
from genarena.evaluation.weights import FeatureSettings
from genarena.files.progress import Bars
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Weighs
from genarena.options.values import Count, Seed
from genarena.ranks import exchange, seeds

Item = TypeVar("Item")


class ContractBroken(ValueError):
    """A model gave what no model may give. A fault of its code, so it ends the evaluation."""


@dataclass(frozen=True)
class SharedSettings(Settings):
    """What every kind of evidence may heed; part of every protocol.

    num_samples: how many examples are drawn from the model.
    num_test: at most so many examples of the test split, drawn with a fixed seed, for everything that looks at real data
        and has no limit of its own.
    batch_size: examples per call of the model.
    sample_seed: seed of the global generator before sampling and before each likelihood.
    features: which features, from which files of weights.
    split: "test"; or "val", for choosing between models, whose rows never meet those of the test split.
    """

    num_samples: Count = 10_000
    num_test: Count = 10_000
    batch_size: Count = 500
    sample_seed: Seed = 0
    features: FeatureSettings = field(default_factory=FeatureSettings)
    split: Literal["test", "val"] = "test"


class Subject:
    """A model in eval mode, a data set that is set up, and the settings; every kind of evidence is made from these.

    `settings` holds the fields of every kind's own settings too.
    """

    def __init__(self, model: GenerativeModel, data: ArenaDataModule, settings: SharedSettings, bars: Bars) -> None:
        self.model, self.data, self.settings, self.bars = model, data, settings, bars
        self.networks = Networks(data, settings.features, settings.split, model.device, bars)

    @property
    def model_name(self) -> str:
        return type(self.model).__name__

    def test(self, limit: int) -> Split:
        """At most `limit` test examples, drawn with a fixed seed: the first ones of a file may be easier than the rest."""
        split = self._held_out
        if limit >= split.size:
            return split
        return split[torch.randperm(split.size, generator=torch.Generator().manual_seed(0))[:limit]]

    def split_name(self, limit: int) -> str:
        """What a record calls `test(limit)`."""
        name = self.settings.split
        return name if limit >= self._held_out.size else f"{name}, {limit:,} at random"

    @property
    def _held_out(self) -> Split:
        return getattr(self.data, self.settings.split)

    def require(self, examples: int, because: str = "") -> None:
        """Raise Unavailable when the settings give fewer test examples or fewer samples than `examples`."""
        num_test, num_samples = min(self._held_out.size, self.settings.num_test), self.settings.num_samples
        if min(num_test, num_samples) < examples:
            reason = f" ({because})" if because else ""
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

    def on_device(self, split: Split) -> tuple[Tensor, Tensor | None]:
        """x and, where models are conditional, y."""
        device = self.model.device
        return split.x.to(device), split.y.to(device) if self.data.spec.condition else None

    def log_prob(self, num_test: int, draws: int, title: str) -> Tensor:
        """(N,) float64 nats of at most `num_test` test examples, from so many draws each."""
        if self.model.likelihood is Likelihood.NONE:
            raise Unavailable(f"{self.model_name} has no likelihood")
        split, batch_size = self.test(num_test), self.settings.batch_size

        def values(start: int) -> Tensor:
            part = split[start : start + batch_size]
            values = self.model.log_prob(*self.on_device(part), num_samples=draws)
            if tuple(values.shape) != (part.size,):
                shape = tuple(values.shape)
                raise ContractBroken(f"{self.model_name}.log_prob gave shape {shape}, expected {(part.size,)}")
            return values.double()

        return torch.cat(self.blocks(values, range(0, split.size, batch_size), title))

    def blocks(self, work: Callable[[Item], Any], items: Sequence[Item], title: str) -> list[Any]:
        """`work` on every item, shared among the ranks, with a seed of its own for each: the results are the same for
        any number of ranks."""

        def seeded(numbered: tuple[int, Item]) -> Any:
            torch.manual_seed(seeds.derived(self.settings.sample_seed, numbered[0]))
            result = work(numbered[1])
            return result.cpu() if isinstance(result, Tensor) else result

        def track(own: Sequence) -> Iterable:
            return self.bars.track(own, title)

        return exchange.spread(seeded, list(enumerate(items)), track)
