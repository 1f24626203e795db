"""Domain features: the penultimate layers of classifiers of the data set's labels or attributes. Also the cache of features.

`domain_classifiers` are trained once per data set, on its training split, and stored in the cache ($GENARENA_CACHE, default
~/.cache/genarena) under the data id and the hash of their recipe. The pretrained networks are in
`genarena.evaluation.backbones`.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from genarena.data.base import ArenaDataModule
from genarena.errors import ArenaError, UserError
from genarena.evaluation.classifier import RECIPE, DomainClassifiers, recipe_hash
from genarena.evaluation.classifier_training import trained
from genarena.evaluation.shipped import shipped
from genarena.files.cache import alone, cache_folder
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.ranks import exchange
from genarena.runs import checkpoint
from genarena.spec import DataSpec


def domain_classifiers(data: ArenaDataModule, bars: Bars) -> DomainClassifiers:
    """The classifiers of this data set: those that come with the package, else from the cache, else trained now.

    Raises Unavailable for data other than images of integer levels with at least two classes or with attributes, and if the
    classifiers are hardly better than a guess: then labels and images have little to do with each other.
    """
    data = data.origin or data
    _check(data)
    stored = exchange.from_zero(lambda: shipped(data.facts["id"]) or _own(data, bars))
    if not stored["skill"] >= RECIPE["least_skill"]:
        raise Unavailable(
            f"the classifiers of {data.name} avoid {stored['skill']:.0%} of the mistakes of a guess on validation images, less "
            f"than {RECIPE['least_skill']:.0%}: their features say little about these images"
        )
    return _restored(data.spec, stored)


def _own(data: ArenaDataModule, bars: Bars) -> dict[str, Any]:
    name = f"{data.facts['id']}/classifiers-{recipe_hash()}.pt"
    return cached_once(name, lambda: trained(data, bars), check=lambda kept: _restored(data.spec, kept))


def _check(data: ArenaDataModule) -> None:
    spec, y = data.spec, data.train.y
    if not spec.is_image or not spec.is_discrete or y is None or not (spec.num_classes or spec.num_attributes):
        raise Unavailable(
            f"the domain classifiers need images of integer levels with labels or attributes; {data.name} has none "
            "(images without labels: features.space=efficientnet|inception|dinov2|clip)"
        )
    if y.ndim == 1 and len(y.unique()) < 2:
        raise Unavailable(f"the domain classifiers need two classes; all training images of {data.name} have one label")


def _restored(spec: DataSpec, stored: dict[str, Any]) -> DomainClassifiers:
    with torch.random.fork_rng(devices=[]):  # a network draws its initial weights, even if they are replaced
        classifiers = DomainClassifiers(spec)
    classifiers.load_state_dict(stored["weights"])
    classifiers.accuracy, classifiers.skill = float(stored["accuracy"]), float(stored["skill"])
    classifiers.probe = [float(number) for number in stored["probe"]]
    return classifiers.eval().requires_grad_(False)


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


def cached_once(name: str, build: Callable[[], Any], check: Callable[[Any], object]) -> Any:
    """As `cached`; of several processes that need it at the same time, one builds and the others wait."""
    path = cache_folder() / name
    try:
        with alone(path.with_name(f"{path.name}.lock")):
            return cached(name, build, check)
    except UserError:  # there is no cache in which to wait
        return cached(name, build, check)


def _write(path: Path, content: Any) -> None:
    """Write to the cache. If that fails, only warn: the result is computed again next time."""
    try:
        checkpoint.save(content, path)
    except (OSError, ArenaError) as error:
        warnings.warn(f"{path} cannot be written ({error}); set GENARENA_CACHE to another folder", stacklevel=2)
