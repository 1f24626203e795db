"""Domain features: the penultimate layer of a classifier of the data set's labels. Also the cache of features.

`domain_classifier` is trained once per labelled data set, on its training split, and stored in the cache
($GENARENA_CACHE, default ~/.cache/genarena) under the data id and the hash of its recipe. The pretrained networks are
in `genarena.evaluation.backbones`.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.data.base import ArenaDataModule
from genarena.errors import ArenaError
from genarena.files.cache import cache_folder
from genarena.files.progress import Bars
from genarena.likelihood import to_unit
from genarena.metrics.base import Unavailable
from genarena.ranks import exchange
from genarena.runs import checkpoint
from genarena.spec import DataSpec

RECIPE = {
    "version": 1,
    "channels": [
        16,
        32,
        64,
        96,
    ],  # widths after each halving, until a side is 4 to 7 pixels; then a 3x3 convolution with twice the channels
    "num_features": 64,  # penultimate layer, SiLU
    "examples": 150_000,  # seen in training, each at most max_epochs times
    "max_epochs": 40,
    "batch_size": 100,
    "optimizer": "AdamW, one cycle",
    "lr": 4e-3,
    "weight_decay": 0.05,
    "seed": 0,
}
ROWS = 500  # images per forward pass; a constant, so that features do not depend on a batch size


def recipe_hash() -> str:
    return hashlib.sha256(json.dumps(RECIPE, sort_keys=True).encode()).hexdigest()[:8]


class DomainClassifier(nn.Module):
    """p(label | image) for images of integer levels. Metrics compare images in the space of its penultimate layer."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.accuracy = float("nan")  # on the test split
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
        sides = [min(side, 7) for side in sides]  # large images: average-pool to 7x7
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(sides), nn.Flatten())
        self.neck = nn.Linear(width * sides[0] * sides[1], RECIPE["num_features"])
        self.head = nn.Linear(RECIPE["num_features"], spec.num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """One batch of levels (N, C, H, W) to features (N, F), differentiable."""
        return F.silu(self.neck(self.body(to_unit(x, self.spec.num_levels))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))

    @torch.no_grad()
    def features(self, x: Tensor, bars: Bars | None = None) -> Tensor:
        """(N, C, H, W) uint8 to (N, F) float32, in chunks."""
        chunks = x.split(ROWS)
        return torch.cat([self.embed(rows) for rows in (bars.track(chunks, "domain features") if bars else chunks)])

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Features (N, F) to class logits (N, K)."""
        return self.head(features)

    @property
    def digest(self) -> str:
        """A hash of the weights, 8 hex digits: the same recipe gives slightly different weights on another machine."""
        hasher = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            hasher.update(name.encode() + value.numpy().tobytes())
        return hasher.hexdigest()[:8]

    @property
    def facts(self) -> dict[str, Any]:
        """The entry `backbone` in the record of a metric on these features."""
        return {
            "name": f"domain-classifier-{recipe_hash()}",
            "weights": self.digest,
            "test_accuracy": round(self.accuracy, 5),
            "num_features": RECIPE["num_features"],
        }


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]


def domain_classifier(data: ArenaDataModule, bars: Bars) -> DomainClassifier:
    """The classifier of this data set, from the cache or trained now. Raises Unavailable for data other than labelled images
    of integer levels."""
    spec = data.spec
    if not spec.is_image or not spec.is_discrete or spec.num_classes is None or data.train.y is None:
        raise Unavailable(
            f"the domain classifier needs labels and images of integer levels; {data.name} has none "
            "(images without labels: features.space=inception|dinov2|clip)"
        )
    name = f"{data.facts['id']}/classifier-{recipe_hash()}.pt"
    stored = exchange.from_zero(
        lambda: cached(name, lambda: _train(data, bars), check=lambda kept: _restored(spec, kept))
    )
    return _restored(spec, stored)


def _restored(spec: DataSpec, stored: dict[str, Any]) -> DomainClassifier:
    with torch.random.fork_rng(devices=[]):  # a network draws its initial weights, even if they are replaced
        classifier = DomainClassifier(spec)
    classifier.load_state_dict(stored["weights"])
    classifier.accuracy = float(stored["accuracy"])
    return classifier.eval().requires_grad_(False)


def _train(data: ArenaDataModule, bars: Bars) -> dict[str, Any]:
    """Train by cross-entropy on the training split, in float32 on the CPU; the caller's random state does not change."""
    x, y = data.train
    batch_size = min(RECIPE["batch_size"], len(x))
    num_batches = len(x) // batch_size
    epochs = max(1, min(RECIPE["max_epochs"], round(RECIPE["examples"] / len(x))))
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        torch.manual_seed(RECIPE["seed"])
        classifier = DomainClassifier(data.spec)
        optimizer = torch.optim.AdamW(
            classifier.parameters(), lr=RECIPE["lr"], weight_decay=RECIPE["weight_decay"], fused=True
        )
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], epochs * num_batches)
        batches = (index for _ in range(epochs) for index in torch.randperm(len(x)).split(batch_size)[:num_batches])
        for index in bars.track(batches, f"training the classifier of {data.name}, once", epochs * num_batches):
            optimizer.zero_grad()
            F.cross_entropy(classifier(x[index]), y[index]).backward()
            optimizer.step()
            cycle.step()
    predicted = classifier.eval().logits(classifier.features(data.test.x)).argmax(1)
    accuracy = (predicted == data.test.y).double().mean().item()
    return {"weights": classifier.state_dict(), "accuracy": accuracy}


def is_cached(name: str) -> bool:
    """Whether the cache has a file of this name."""
    return (cache_folder() / name).is_file()


def cached(name: str, build: Callable[[], Any], check: Callable[[Any], object] | None = None) -> Any:
    """The result of `build`, computed now or by an earlier process. A file that cannot be loaded, or for which `check`
    raises, is made again with a warning."""
    path = cache_folder() / name
    if path.is_file():
        try:
            stored = checkpoint.load(path)
            if check:
                check(stored)
            return stored
        except Exception as error:  # after any error it is made again
            warnings.warn(f"{path} cannot be read ({type(error).__name__}); it is made again", stacklevel=2)
    built = build()
    _write(path, built)
    return built


def _write(path: Path, content: Any) -> None:
    """Write to the cache. If that fails, only warn: the result is computed again next time."""
    try:
        checkpoint.save(content, path)
    except (OSError, ArenaError) as error:
        warnings.warn(f"{path} cannot be written ({error}); set GENARENA_CACHE to another folder", stacklevel=2)
