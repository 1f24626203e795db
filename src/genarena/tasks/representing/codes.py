"""Codes of examples: by a model, layer by layer; of the methods without one; and of a classifier that knows the labels."""

from collections.abc import Callable

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import seeded_generator
from genarena.likelihood import to_unit
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Represents
from genarena.spec import DataSpec
from genarena.statistics.code_geometry import Components
from genarena.tasks.editing.domain import Domain
from genarena.tasks.representing.examples import Examples, Three

ROWS = 250  # examples that a model sees at once
WIDEST = 1024  # entries of a code; of wider ones these many principal components are kept
NARROW, WIDE = 32, 512  # entries of the floors
UNTRAINED = "untrained"  # how the names of lines of untrained networks begin


def of_model(model: GenerativeModel, found: Examples) -> dict[str, Three]:
    """Layer to codes. Raises ValueError for codes that are not finite."""
    parts = [_features(model, x) for x in found.x]
    layers = {name: Three(*(part[name] for part in parts)) for name in parts[0]}
    for name, codes in layers.items():
        if not all(bool(part.isfinite().all()) for part in codes):
            raise ValueError(f"the codes of {type(model).__name__} in {name} are not finite")
    return {name: narrowed(codes) for name, codes in layers.items()}


def layers_of(model: GenerativeModel, found: Examples) -> tuple[str, ...]:
    """The names of the layers."""
    return tuple(_features(model, found.x.test[:1]))


def _features(model: Represents, x: Tensor) -> dict[str, Tensor]:
    parts = [model.features(part.to(model.device)) for part in x.split(ROWS)]
    return {name: torch.cat([part[name].cpu() for part in parts]) for name in parts[0]}


def narrowed(codes: Three) -> Three:
    """Codes of at most `WIDEST` entries."""
    return codes if codes.train.shape[1] <= WIDEST else components(codes, WIDEST)


def components(codes: Three, num: int) -> Three:
    """The first principal components, of the training codes."""
    found = Components.of(codes.train, num)
    return Three(*(found(part) for part in codes))


# -- without a model ---------------------------------------------------------------------------------------------------


def of_floors(found: Examples) -> dict[str, Three]:
    """Pixels (or the columns of a table) as they are, in [0, 1] where they are levels, and what is made of them at once."""
    pixels = Three(*(_unit(part, found.spec) for part in found.x))
    name = "pixels" if found.spec.is_image else "columns"
    return {
        name: pixels,
        "PCA-32": components(pixels, NARROW),
        "random linear 32": mapped(pixels, NARROW, lambda z: z),
        "random ReLU 512": mapped(pixels, WIDE, torch.relu),
    }


def mapped(codes: Three, width: int, bend: Callable[[Tensor], Tensor]) -> Three:
    """bend(W z), W (width, F) normal with the variance 1 / F."""
    features = codes.train.shape[1]
    weight = torch.randn(width, features, generator=seeded_generator("random features", width, features))
    return Three(*(bend(part @ weight.T / features**0.5) for part in codes))


def of_classifier(data: ArenaDataModule, found: Examples) -> Three | None:
    """Features of classifiers that were trained on the labels; None where the set has none."""
    if not found.spec.is_image or not found.spec.is_discrete:
        return None
    try:
        domain = Domain(data)
    except ValueError:
        return None
    return Three(*(domain.features(to_unit(part, found.spec.num_levels)) for part in found.x))


def _unit(x: Tensor, spec: DataSpec) -> Tensor:
    """(N, D) float32."""
    x = x.flatten(1).float()
    return x / (spec.num_levels - 1) if spec.is_discrete else x
