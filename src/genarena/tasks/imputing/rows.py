"""The rows of a table, which entries of them are hidden, and their standardised form."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data import mechanisms
from genarena.data.base import ArenaDataModule
from genarena.data.table_set import TableSet
from genarena.likelihood import to_space
from genarena.spec import DataSpec


@dataclass(frozen=True)
class Standard:
    """Mean and standard deviation (D,) of the observed training entries; of a column without spread the latter is 1.

    varies: which columns have spread, bool (D,): the others are not scored.
    """

    mean: Tensor
    scale: Tensor
    varies: Tensor

    @classmethod
    def of(cls, train: Tensor) -> "Standard":
        """train: (N, D), NaN where hidden."""
        mean = train.nanmean(0)
        scale = (train - mean).square().nanmean(0).sqrt()
        varies = scale > 1e-9 * (1.0 + mean.abs())
        return cls(mean, torch.where(varies, scale, 1.0), varies)

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale

    def inverse(self, z: Tensor) -> Tensor:
        return self.mean + self.scale * z


@dataclass(frozen=True)
class Rows:
    """x: (N, D) float64, complete, in the space of the models (`likelihood.to_space`). hidden: bool (N, D). targets: what is
    predicted from the rows, or None. condition: of each row, or None."""

    x: Tensor
    hidden: Tensor
    targets: Tensor | None = None
    condition: Tensor | None = None

    @property
    def holed(self) -> Tensor:
        return self.x.masked_fill(self.hidden, torch.nan)

    def __len__(self) -> int:
        return len(self.x)


def rows_of(data: ArenaDataModule, part: str, limit: int, hidden: Tensor | None) -> Rows:
    """At most `limit` rows of a split, drawn with a fixed seed; hidden: bool (N, D) of the whole split, None: nothing is."""
    split, spec = getattr(data, part), data.spec
    chosen = torch.randperm(split.size, generator=torch.Generator().manual_seed(0))[:limit]
    rows = split[chosen]
    x = to_space(rows.x, spec).flatten(1).double().cpu()
    targets = data.targets(part)[chosen] if isinstance(data, TableSet) and data.targets(part) is not None else rows.y
    if data.only is not None:  # one label: there is nothing to tell apart
        targets = None
    hidden = torch.zeros(x.shape, dtype=torch.bool) if hidden is None else hidden[chosen]
    return Rows(x, hidden, targets, rows.given(spec.condition) if spec.condition is not None else None)


def hidden_of(data: ArenaDataModule, part: str, mechanism: str, rate: float, seed: int) -> Tensor:
    """Which entries of the rows of a split are hidden, bool (N, D). Raises ValueError."""
    if isinstance(data, TableSet):
        return data.hidden(part, mechanism, rate, seed)
    train, rows = (getattr(data, name).x[:].flatten(1) for name in ("train", part))
    return mechanisms.fitted(mechanism, rate, train, (data.name, seed)).hidden(rows, part)


def check(spec: DataSpec) -> None:
    """Raises ValueError for data without two columns of numbers."""
    if spec.num_dims < 2 or spec.is_sound or (spec.is_image and not spec.is_discrete):
        raise ValueError(
            f"needs vectors or images of at least two entries, and the data of this run has shape {spec.shape}"
        )
