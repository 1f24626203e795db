"""The two samples that are told apart: test examples of the run's data, and those of another set or of a transform."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from omegaconf import MissingMandatoryValue, OmegaConf
from torch import Tensor

from genarena import config
from genarena.build import build
from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split, seeded_generator
from genarena.data.checks import refuse_broken
from genarena.options.hints import nearest
from genarena.spec import DataSpec


@dataclass(frozen=True)
class Examples:
    """x: data (N, *shape) of a DataModule. spec: what x is. name: of the set, e.g. for a cache of what was computed from it."""

    x: Tensor
    spec: DataSpec
    name: str = ""

    def __len__(self) -> int:
        return len(self.x)

    def first(self, num: int | None) -> "Examples":
        return self if num is None or num >= len(self) else Examples(self.x[:num], self.spec, self.name)

    @cached_property
    def contents(self) -> list[bytes]:
        """The bytes of each example, which decide its random numbers."""
        return [each.numpy().tobytes() for each in self.x.contiguous()]

    @cached_property
    def unit(self) -> Tensor:
        """(N, D) float64: levels in [0, 1], continuous data as it is."""
        x = self.x.flatten(1).double()
        return x / (self.spec.num_levels - 1) if self.spec.is_discrete else x


def vflip(x: Tensor, spec: DataSpec) -> Tensor:
    return x.flip(-2)


def hflip(x: Tensor, spec: DataSpec) -> Tensor:
    return x.flip(-1)


def noise(x: Tensor, spec: DataSpec) -> Tensor:
    """Every value uniform over the levels."""
    drawn = torch.randint(spec.num_levels, x.shape, generator=seeded_generator(0, "noise"))
    return drawn.to(spec.dtype)


def constant(x: Tensor, spec: DataSpec) -> Tensor:
    """Images of one level, uniform over the levels."""
    shape = (len(x), *[1] * (x.dim() - 1))
    drawn = torch.randint(spec.num_levels, shape, generator=seeded_generator(0, "constant"))
    return drawn.to(spec.dtype).expand(x.shape).contiguous()


OTHERS = "others"  # examples whose label is not the one that was learned
TRANSFORMS: dict[str, Callable[[Tensor, DataSpec], Tensor]] = {
    each.__name__: each for each in (vflip, hflip, noise, constant)
}


def drawn(split: Split, start: int, stop: int, spec: DataSpec, name: str) -> Examples:
    """The examples `start` to `stop` of a random order of a split that is always the same."""
    order = torch.randperm(split.size, generator=torch.Generator().manual_seed(0))
    return Examples(split[order[start:stop]].x, spec, name)


def pair(data: ArenaDataModule, name: str, limit: int) -> tuple[Examples, Examples]:
    """Inside and outside, equally many, at most `limit` each. A transform changes test examples that are not inside."""
    if name in TRANSFORMS:
        size = min(limit, data.test.size // 2)
        inside = drawn(data.test, 0, size, data.spec, "test")
        other = drawn(data.test, size, 2 * size, data.spec, name)
        return inside, Examples(TRANSFORMS[name](other.x, data.spec), data.spec, name)
    other = others(data) if name == OTHERS else test_split(name, data.root)
    size = min(limit, data.test.size, other.size)
    return drawn(data.test, 0, size, data.spec, "test"), drawn(other, 0, size, data.spec, name)


def others(data: ArenaDataModule) -> Split:
    """Examples of the labels that were not learned: rows of a table, or test images."""
    if data.spec.is_vector:
        return Split(data.others)
    whole = replace(data, only=None, max_test=None)
    test = whole.cut("test", whole.load_test())
    return test[(test.y != data.only).nonzero().flatten()]


def node_of(name: str) -> dict:
    """The resolved configuration of a data set. Raises ValueError for an unknown name, and a set that needs options."""
    known = config.available("data")
    if name not in known:
        every = sorted([*known, *TRANSFORMS, OTHERS])
        raise ValueError(
            f"against={name}: there is no such data set or transform{nearest(name, every)}; available: {', '.join(every)}"
        )
    node = config.compose([f"data={name}", "model=gaussian"]).data
    try:
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ValueError(f"against={name}: it needs options of its own, and cannot be compared with") from error


def check(name: str, spec: DataSpec) -> None:
    """Raise ValueError for an unknown set, or one of another shape or number of levels than `spec`. Nothing is read."""
    if name in TRANSFORMS and not spec.is_image:
        raise ValueError(f"against={name}: is for images")
    if name in TRANSFORMS or name == OTHERS:
        return
    node = node_of(name)
    if not spec.is_image:
        raise ValueError(f"against={name}: is for images; a table is compared with its own rows, against={OTHERS}")
    other: DataSpec = build(node["spec"], "data.spec")
    if (other.shape, other.num_levels) != (spec.shape, spec.num_levels):
        raise ValueError(
            f"against={name}: it has shape {other.shape} and {other.num_levels} levels, and the data of this run "
            f"{spec.shape} and {spec.num_levels}: preprocess both alike"
        )


def test_split(name: str, root: str) -> Split:
    """The test split of a set whose files lie below `root`. Raises DataError if they are missing."""
    data: ArenaDataModule = build(node_of(name) | {"root": root}, "data")
    split = data.cut("test", data.load_test())
    refuse_broken(name, data.spec, "test", split)
    return split


def digest(examples: Examples) -> str:
    """sha256 of the examples."""
    return hashlib.sha256(b"".join(examples.contents)).hexdigest()
