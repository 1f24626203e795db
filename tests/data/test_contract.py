"""What every data set promises, tried on each file of conf/data: a new set is tried without an edit here.

A set whose files have to be downloaded is tried on small ones where `small_sets.py` makes them, else on real ones where
they lie beside the checkout, else it is skipped with its own reason.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import genarena.data
from genarena import config
from genarena.build import build
from genarena.data.base import ArenaDataModule
from genarena.data.batches import Batches
from genarena.data.reading.lazy import Lazy
from genarena.errors import UserError
from tests.conftest import SHARED_DATA
from tests.data.small_sets import MAKERS

NAMES = sorted(path.stem for path in (config.CONF / "data").glob("*.yaml"))
PARTS = ("train", "val", "test")
FEW = 2_000  # examples of a split that are looked at where it is large


def node(name: str, *options: str) -> dict:
    given = ["model=uniform", f"data={name}", *(f"data.{option}" for option in options)]
    return OmegaConf.to_container(config.compose(config.check(given)), resolve=True)["data"]


class Tried:
    """A set with the options that it can be set up with, and without a way to its owner's server."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.empty = name, root / "no mirror"
        self.empty.mkdir()
        place = root if name in MAKERS or not SHARED_DATA.is_dir() else SHARED_DATA
        self.options = [f"root={place}", *(MAKERS[name](root) if name in MAKERS else ())]

    def made(self, **changes: object) -> ArenaDataModule:
        """The data module, set up. Skips the test where the set's files are not there."""
        data = build(node(self.name, *self.options) | changes, "data")
        data.mirror = str(self.empty)
        try:
            data.setup()
        except UserError as error:
            if self.name in MAKERS or "is not in" not in str(error):
                raise
            pytest.skip(str(error))
        return data


@pytest.fixture(scope="module", params=NAMES)
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    try:
        return Tried(request.param, tmp_path_factory.mktemp("root"))
    except ImportError as error:  # of a package that only this set needs
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def data(tried: Tried, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArenaDataModule]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENARENA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield tried.made()


def some(x: torch.Tensor | Lazy) -> torch.Tensor:
    """All examples, or as many as are looked at where they would fill the memory."""
    return x[:] if x.shape.numel() < 2e8 else x[:FEW]


def test_the_name_is_that_of_the_file_and_of_the_yaml(tried: Tried) -> None:
    module, _, kind = node(tried.name, *tried.options)["_target_"].rpartition(".")
    assert getattr(importlib.import_module(module), kind).name == module.rpartition(".")[2] == tried.name


def test_every_set_has_its_yaml() -> None:
    for found in pkgutil.iter_modules(genarena.data.__path__):
        if found.ispkg:
            continue
        module = importlib.import_module(f"genarena.data.{found.name}")
        own = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
        named = [kind for kind in own if issubclass(kind, ArenaDataModule) and "name" in vars(kind)]
        assert [kind.name for kind in named] in ([], [found.name])
        assert not named or found.name in NAMES


def test_examples_and_labels_are_what_the_spec_says(data: ArenaDataModule) -> None:
    for part in PARTS:
        split = getattr(data, part)
        x = some(split.x)
        assert tuple(x.shape[1:]) == data.spec.shape and split.size == data.facts["splits"][part]
        if data.spec.is_discrete:
            assert x.dtype == data.spec.dtype and int(x.max()) < data.spec.num_levels
        else:
            assert x.dtype == torch.float32 and bool(torch.isfinite(x).all())
        assert (split.y is None) == (data.train.y is None)
        if split.y is not None:
            assert split.y.dtype == torch.int64 and len(split.y) == split.size and int(split.y.min()) >= 0
            assert int(split.y.max()) < (data.spec.num_classes if split.y.dim() == 1 else 2)


def test_no_example_is_in_two_splits(data: ArenaDataModule) -> None:
    train, val, test = (set(map(bytes, some(getattr(data, part).x).contiguous().numpy())) for part in PARTS)
    assert not train & test and not val & test and not train & val


def test_the_same_set_has_the_same_id_whatever_the_seed(tried: Tried, data: ArenaDataModule) -> None:
    assert tried.made(seed=7, batch_size=3).facts == data.facts
    assert data.facts["id"].startswith(data.name)
    assert tried.made(max_train=5).facts["id"] != data.facts["id"]


def test_a_batch_is_a_function_of_seed_and_number(data: ArenaDataModule) -> None:
    def batches(seed: int, start: int = 0) -> list[torch.Tensor]:
        loader = Batches(data.training_split, 4, seed, shuffle=True, start=start, augment=data.augment)
        return [batch.x for batch in islice(loader, 5)]

    first = batches(3)
    assert all(batch.shape == (4, *data.spec.shape) for batch in first)
    assert all(torch.equal(*pair) for pair in zip(first[2:], batches(3, start=2), strict=False))
    assert not all(torch.equal(*pair) for pair in zip(first, batches(4), strict=True))
