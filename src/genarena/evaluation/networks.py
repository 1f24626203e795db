"""The networks whose features evidence uses. Each is loaded or trained once; features of real examples are cached on disk."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation import features
from genarena.evaluation.backbones import BACKBONES, Backbone
from genarena.evaluation.classifier import DomainClassifiers
from genarena.evaluation.clip_score_network import PictureTextCLIP
from genarena.evaluation.code import code_of
from genarena.evaluation.weights import FeatureSettings
from genarena.files.progress import Bars
from genarena.ranks import exchange

Item = TypeVar("Item")
ROWS = 5000  # images per piece of work of a rank; a multiple of every network's own batches


class Networks:
    """`networks[name]` is the domain classifiers of the data set, or one of the pretrained networks."""

    def __init__(
        self, data: ArenaDataModule, settings: FeatureSettings, split: str, device: torch.device, bars: Bars
    ) -> None:
        self.data, self.settings, self.split, self.device, self.bars = data, settings, split, device, bars
        self._loaded: dict[str, DomainClassifiers | Backbone] = {}

    def __getitem__(self, name: str) -> DomainClassifiers | Backbone:
        """The network. Raises Unavailable if it cannot be loaded or trained."""
        if name not in self._loaded:
            self._loaded[name] = (
                features.domain_classifiers(self.data, self.bars)
                if name == "domain"
                else BACKBONES[name](self.settings, self.data.spec, self.device)
            )
        return self._loaded[name]

    def facts(self, name: str) -> dict[str, Any]:
        """The facts for the record of a metric on features of this network."""
        return {"backbone": self[name].facts}

    def of_samples(self, name: str, fake: Tensor) -> Tensor:
        """Features (N, F) of samples, the work shared among the ranks."""
        return torch.cat(self._spread(self[name].features, fake))

    def features_and_logits(self, name: str, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, F) and logits (N, K) of samples, from one pass."""
        parts = self._spread(self[name].features_and_logits, fake)
        return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))

    def of_examples(self, name: str, real: Tensor) -> Tensor:
        """Features (N, F) of test examples, cached on disk."""
        whole = len(real) >= getattr(self.data, self.split).size
        return self._kept(name, self.split if whole else f"{self.split}-at-random", real)

    def of_training_examples(self, name: str, train: Tensor) -> Tensor:
        """Features (N, F) of training examples, cached on disk."""
        return self._kept(name, "train", train)

    def of_fresh_examples(self, name: str, fresh: Tensor, source: str) -> Tensor:
        """Features (N, F) of real examples in place of samples, cached on disk. source: the splits that they are from."""
        return self._kept(name, f"fresh-{source}", fresh)

    def _kept(self, network: str, part: str, x: Tensor) -> Tensor:
        """Features (N, F) of x, cached under the data id, the part of the data, the weights, and the code and libraries."""
        backbone = self[network]
        by = code_of(code(network)).whole
        name = f"{self.data.facts['id']}/features-{network}-{backbone.digest[:16]}-{by}-{part}-{len(x)}.pt"
        if exchange.from_zero(lambda: features.is_cached(name)):
            return exchange.from_zero(lambda: features.cached(name, lambda: backbone.features(x, self.bars)))
        found = torch.cat(self._spread(backbone.features, x))
        return exchange.from_zero(lambda: features.cached(name, lambda: found))

    def _spread(self, look: Callable[[Tensor, Bars], Item], x: Tensor) -> list[Item]:
        """Apply `look` to parts of x; the ranks share the work."""
        return exchange.spread(lambda part: look(part, self.bars), x.split(ROWS))


def identity(name: str, settings: FeatureSettings) -> str | None:
    """A hash that identifies a network: of the recipe of the domain classifiers, or of the weights (sha256)."""
    return features.recipe_hash() if name == "domain" else settings.sha256(name)


def code(name: str) -> list[type | Callable]:
    """The classes and functions that compute the features of a network."""
    if name == "domain":
        return [features.domain_classifiers, DomainClassifiers]
    return [PictureTextCLIP if name == PictureTextCLIP.name else BACKBONES[name]]
