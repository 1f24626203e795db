"""The codes of all combinations of factors, in which every metric looks them up."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from genarena.errors import not_finite


@dataclass(frozen=True)
class CodeTable:
    """codes: (prod(sizes), D) floats, in the order of the grid, in which the last factor varies fastest. sizes: numbers of
    values of the factors, each at least 2: one that never changes is left out, which changes no row. scored: the columns of the
    factors that metrics ask for; None: all. The others vary all the same.

    Raises ValueError for another shape, factors of one value, and codes that are not finite.
    """

    codes: np.ndarray
    sizes: tuple[int, ...]
    scored: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        wanted = int(np.prod(self.sizes))
        if self.codes.ndim != 2 or len(self.codes) != wanted or not self.codes.shape[1]:
            raise ValueError(f"codes have shape {self.codes.shape}: expected ({wanted}, D)")
        if not self.sizes or min(self.sizes) < 2:
            raise ValueError(f"sizes={self.sizes}: expected factors of at least 2 values")
        bad = int((~np.isfinite(self.codes)).any(1).sum())
        if bad:
            raise ValueError(not_finite(bad, wanted, "codes"))

    @property
    def columns(self) -> np.ndarray:
        """The scored factors."""
        return np.arange(len(self.sizes)) if self.scored is None else np.array(self.scored)

    @cached_property
    def factors(self) -> np.ndarray:
        """The value indices (prod(sizes), K) of all rows, of the scored factors."""
        return np.stack(np.unravel_index(np.arange(len(self.codes)), self.sizes), 1)[:, self.columns]

    def sample(self, num: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Codes (num, D) and value indices (num, K) of the scored factors, of random combinations."""
        drawn = self.drawn(num, generator)
        return self.at(drawn), drawn[:, self.columns]

    def drawn(self, num: int, generator: np.random.Generator) -> np.ndarray:
        """Value indices of all factors (num, len(sizes)), uniform and independent."""
        return generator.integers(np.array(self.sizes), size=(num, len(self.sizes)))

    def at(self, factors: np.ndarray) -> np.ndarray:
        """Codes (..., D) of value indices of all factors (..., len(sizes))."""
        return self.codes[np.ravel_multi_index(tuple(np.moveaxis(factors, -1, 0)), self.sizes)]
