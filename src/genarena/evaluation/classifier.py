"""Classifiers of a data set's labels or attributes, in whose penultimate layers metrics compare images.

There are several, because a distance in the features of one network changes with its seed. They differ in their initial weights
and in the disturbances seen in training.
"""

import hashlib
import json
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.files.progress import Bars
from genarena.likelihood import to_unit
from genarena.spec import DataSpec

RECIPE = {
    "version": 3,
    "members": 4,
    "channels": [
        16,
        32,
        64,
        96,
    ],  # widths after each halving, until a side is 4 to 7 pixels; then a 3x3 convolution with twice the channels
    "pooled": 4,  # then average-pooled to at most this side
    "num_features": 64,  # penultimate layer, SiLU
    "examples": 150_000,  # seen in training, each at most max_epochs times
    "max_epochs": 40,
    "batch_size": 100,
    "optimizer": "AdamW, one cycle",
    "lr": 4e-3,
    "weight_decay": 0.05,
    "noise": 0.2,  # largest standard deviation of the noise added in training, for values in [-1, 1]
    "blur": 1.0,  # largest share of a blurred copy (3x3 binomial) in a training image
    "shift": 0.08,  # largest shift in training, as a share of the side; at least 1 pixel
    "disturbed": 0.5,  # probability of each of the three
    "trained": "float64",  # so that rounding, which differs between machines, vanishes in that of the weights
    "weights": "float16",  # to which the trained weights are rounded
    "scale_examples": 5000,  # training examples from which the scale of the features is measured
    "least_skill": 0.2,  # below, the features are refused: the share of the mistakes of a guess that the classifiers avoid
    "seed": 0,
}
ROWS = 500  # images per forward pass; a constant, so that features do not depend on a batch size


def recipe_hash() -> str:
    return hashlib.sha256(json.dumps(RECIPE, sort_keys=True).encode()).hexdigest()[:8]


def num_outputs(spec: DataSpec) -> int:
    """Number of classes; for a set without classes, of attributes."""
    return spec.num_classes or spec.num_attributes


class DomainClassifier(nn.Module):
    """p(label | image), or p(attribute | image) of each attribute, for images of integer levels. outputs: another number."""

    def __init__(self, spec: DataSpec, outputs: int | None = None) -> None:
        super().__init__()
        channels, *sides = spec.shape
        layers: list[nn.Module] = []
        for out_channels in RECIPE["channels"]:
            if min(sides) < 8:
                break
            if min(sides) < 14:  # small: a convolution at full size before halving
                layers += [*_convolution(channels, out_channels, kernel=3, stride=1), nn.MaxPool2d(2)]
            else:
                layers += _convolution(channels, out_channels, kernel=4, stride=2)
            channels, sides = out_channels, [side // 2 for side in sides]
        width = 2 * channels
        layers += _convolution(channels, width, kernel=3, stride=1)
        sides = [min(side, RECIPE["pooled"]) for side in sides]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(sides), nn.Flatten())
        self.neck = nn.Linear(width * sides[0] * sides[1], RECIPE["num_features"])
        self.head = nn.Linear(RECIPE["num_features"], outputs or num_outputs(spec))

    def embed(self, unit: Tensor) -> Tensor:
        """Values (N, C, H, W) in [-1, 1] to features (N, F), differentiable."""
        return F.silu(self.neck(self.body(unit)))

    def forward(self, unit: Tensor) -> Tensor:
        """Logits (N, K)."""
        return self.head(self.embed(unit))


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]


class DomainClassifiers(nn.Module):
    """The classifiers of one data set.

    Features are those of all members side by side. A member's features are divided by one number, so that their mean variance
    over training examples is 1: distances do not depend on the scale that a network happened to learn, and no member outweighs
    another. accuracy: on the test split, mean over the members. skill: `genarena.evaluation.classifier_skill.skill`.
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.members = nn.ModuleList(DomainClassifier(spec) for _ in range(RECIPE["members"]))
        self.register_buffer("scale", torch.ones(RECIPE["members"]))
        self.accuracy = self.skill = float("nan")
        self.probe: list[float] = []

    @torch.no_grad()
    def features(self, x: Tensor, bars: Bars | None = None) -> Tensor:
        """Levels (N, C, H, W) to features (N, members * F) float32, in chunks."""
        chunks = x.split(ROWS)
        tracked = bars.track(chunks, "domain features") if bars else chunks
        return torch.cat([self._embed(to_unit(rows, self.spec.num_levels)) for rows in tracked])

    def _embed(self, unit: Tensor) -> Tensor:
        return torch.cat(
            [member.embed(unit) / scale for member, scale in zip(self.members, self.scale, strict=True)], dim=1
        )

    def blocks(self, features: Tensor) -> list[Tensor]:
        """Features (N, members * F) of all members to those of each, (N, F)."""
        return list(features.split(RECIPE["num_features"], dim=1))

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Features (N, members * F) to logits (members, N, K)."""
        parts = zip(self.members, self.blocks(features), self.scale, strict=True)
        return torch.stack([member.head(block * scale) for member, block, scale in parts])

    @torch.no_grad()
    def classes(self, features: Tensor) -> Tensor:
        """(N,) int64: the classes of the largest mean probability over the members."""
        return self.logits(features).softmax(2).mean(0).argmax(1)

    @property
    def digest(self) -> str:
        """A hash of the weights, 8 hex digits."""
        hasher = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            hasher.update(name.encode() + value.numpy().tobytes())
        return hasher.hexdigest()[:8]

    @property
    def facts(self) -> dict[str, Any]:
        """The entry `backbone` in the record of a metric on these features.

        probe: distances between fixed images in the features; other seeds change them by more than rounding does.
        """
        return {
            "name": f"domain-classifiers-{recipe_hash()}",
            "weights": self.digest,
            "classifiers": len(self.members),
            "test_accuracy": round(self.accuracy, 5),
            "skill": round(self.skill, 5),
            "num_features": RECIPE["num_features"],
            "probe": self.probe,
        }
