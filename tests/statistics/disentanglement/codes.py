"""Codes with known scores: the factors of a grid, in unit variance, and what can be made of them."""

import numpy as np

from genarena.statistics.disentanglement.table import CodeTable

DSPRITES = (3, 6, 40, 32, 32)
SHAPES3D = (10, 10, 10, 8, 4, 15)
SMALL = (3, 4, 5)


def factors_of(sizes: tuple[int, ...]) -> np.ndarray:
    """All combinations (N, K), with unit variances and no correlation."""
    values = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1).astype(float)
    return (values - values.mean(0)) / values.std(0)


def rotation(size: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(size, size)))[0]


def noise(num: int, size: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, size))


def sampled(codes: np.ndarray, sizes: tuple[int, ...], num: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Codes and value indices of `num` random combinations."""
    table = CodeTable(codes, sizes)
    factors = table.drawn(num, np.random.default_rng(seed))
    return table.at(factors), factors
