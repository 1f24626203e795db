"""Codes without a trained model: what the metrics give the factors themselves, a rotation of them, noise, and components."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import seeded_generator
from genarena.data.ground_truth import sizes_of
from genarena.tasks.disentangling.codes import Coding

NUM_CODES = 10  # of noise and of principal components
FITTED = 10_000  # training pictures of the components, at most


@dataclass(frozen=True)
class Floor:
    """is_real: the factors as they are, what a perfect code would be."""

    name: str
    make: Callable[[], Coding]
    is_real: bool = False


def floors(data: ArenaDataModule, seed: int) -> Iterator[Floor]:
    """The same for all models of a data set. The factors are value indices, scaled to unit variance."""
    yield Floor("true factors", lambda: factors(data), True)
    yield Floor("rotated factors", lambda: rotated(data, seed))
    yield Floor("independent noise", lambda: noise(seed))
    yield Floor("principal components", lambda: components(data, seed))


def factors(data: ArenaDataModule) -> Coding:
    """A factor with one value is left out."""
    sizes = torch.tensor(sizes_of(data.factor_sizes), dtype=torch.float64)
    mean, scale = (sizes - 1.0) / 2.0, ((sizes.square() - 1.0) / 12.0).sqrt()
    varying = sizes > 1
    return lambda x, values: ((values - mean) / scale)[:, varying]


def rotated(data: ArenaDataModule, seed: int) -> Coding:
    """All information is there, and no code has a factor of its own: a random rotation, uniform (Haar)."""
    plain = factors(data)
    num = sum(size > 1 for size in sizes_of(data.factor_sizes))
    normal = torch.randn(num, num, dtype=torch.float64, generator=seeded_generator(seed, num, "rotation"))
    q, r = torch.linalg.qr(normal)
    return lambda x, values: plain(x, values) @ (q * r.diagonal().sign())


def noise(seed: int) -> Coding:
    """Standard normal numbers, drawn in the order of the grid."""
    generator = seeded_generator(seed, NUM_CODES, "noise")
    return lambda x, values: torch.randn(len(values), NUM_CODES, dtype=torch.float64, generator=generator)


def components(data: ArenaDataModule, seed: int) -> Coding:
    """Coordinates in the directions of largest variance of training pictures, scaled to unit variance over them."""
    index = torch.randperm(data.train.size, generator=seeded_generator(seed, data.train.size, "components"))[:FITTED]
    x = _rows(data.train.x[index])
    mean = x.mean(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, _, ways = torch.pca_lowrank(x, q=min(2 * NUM_CODES, *x.shape), niter=8)
    ways = ways[:, :NUM_CODES]
    scale = ((x - mean) @ ways).std(0).clamp_min(1e-6)
    return lambda x, values: (_rows(x) - mean) @ ways / scale


def _rows(x: Tensor) -> Tensor:
    return x.flatten(1).float()
