"""Tables of continuous columns: training with holes, training on the rows of one label, and what is predicted from a row.

With `data.missing` entries of the training and validation rows are hidden by a mechanism of `mechanisms.py`, NaN in
the batches that a model learns from. `train`, `val` and `test` stay complete; `shown` has the rows with holes. All
rows are then standardised by what is observed of the training rows: statistics of complete rows would tell the model
about what is hidden.
"""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genarena.data import mechanisms
from genarena.data.base import ArenaDataModule
from genarena.data.batches import Batches, Split
from genarena.errors import DataError
from genarena.options.values import Seed, Share


class TableSet(ArenaDataModule):
    """missing: how entries come to be hidden in training; None: training rows are complete. missing_rate: how many,
    of the columns that may have holes; mnar_quantile and not_miwae have a rate of their own. missing_seed: of the
    holes.

    With `only` the rows of other labels are left out before the splits are made and the columns standardised; `others` has
    them, in the units of the splits, and nothing is learned from them.

    raw_center, raw_scale: (D,) float64, from rows x of this set to the numbers of the file: center + scale x. column_names: as
        the file has them, or None. `load` sets them.
    Raises DataError for a rate that is not between 0 and 1, for rows of one column, and for a label that no row or every row
    has.
    """

    missing: Literal["mcar", "mar", "mnar_self", "mnar_quantile", "not_miwae"] | None = None
    missing_rate: Share = 0.3
    missing_seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.raw_center = torch.zeros(self.spec.num_dims, dtype=torch.float64)
        self.raw_scale = torch.ones(self.spec.num_dims, dtype=torch.float64)
        self.column_names: tuple[str, ...] | None = None
        self.others = torch.zeros(0, self.spec.num_dims)
        self.shown: dict[str, Split] = {}
        self.complete: dict[
            str, Tensor
        ] = {}  # rows of each split as they are without `data.missing`; they decide the holes
        if self.missing != self.spec.missing:
            raise DataError(
                f"data.missing={self.missing}: conf/data/{self.name}.yaml does not pass it on to its spec "
                '(missing: "${data.missing}")'
            )

        if self.only is not None and self.condition:
            raise DataError(f"data.only={self.only}: the rows have one label, so data.condition=null")

    def apart(self, rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows with the label `only`, and the others. Raises DataError if there are none of either."""
        inside = labels == self.only
        if inside.all() or not inside.any():
            found = ", ".join(f"{label:g}" for label in np.unique(labels)[:10])
            raise DataError(f"data.only={self.only}: expected one of several labels; {self.name} has {found}")
        return rows[inside], rows[~inside]

    def targets(self, part: str) -> Tensor | None:
        """What can be predicted from the rows of a split: labels (N,) int64, or a number per row, float; None if
        there is none."""
        return getattr(self, part).y

    def hidden(self, part: str, mechanism: str, rate: float, seed: int) -> Tensor:
        """Which entries of the rows of a split are hidden, bool (N, D), by a mechanism fitted to the complete
        training rows; the same whatever `data.missing` is. Raises ValueError."""
        fitted = mechanisms.fitted(mechanism, rate, self.complete["train"], (self.name, seed))
        return fitted.hidden(self.complete[part], part)

    def setup(self, stage: str | None = None) -> None:
        if self.train is not None:
            return
        super().setup(stage)
        self.complete = {part: getattr(self, part).x for part in ("train", "val", "test")}
        if self.missing is not None:
            self._hide()

    def _hide(self) -> None:
        chosen = (self.missing, self.missing_rate, self.missing_seed)
        try:
            hidden = {part: self.hidden(part, *chosen) for part in ("train", "val")}
        except ValueError as error:
            raise DataError(f"data.missing={self.missing}: {error}") from error
        observed = self.train.x.double().masked_fill(hidden["train"], torch.nan)
        center = observed.nanmean(0)
        scale = (observed - center).square().nanmean(0).sqrt()
        scale = torch.where(scale > 0, scale, 1.0)
        self.raw_center, self.raw_scale = self.raw_center + self.raw_scale * center, self.raw_scale * scale
        for part in ("train", "val", "test"):
            split = getattr(self, part)
            setattr(self, part, Split(((split.x - center) / scale).float(), split.y))
        self.others = ((self.others - center) / scale).float()
        for part, mask in hidden.items():
            split = getattr(self, part)
            self.shown[part] = Split(split.x.masked_fill(mask, torch.nan), split.y)

    def identity(self) -> dict[str, Any]:
        """The holes, if there are any. A subclass with facts of its own adds them."""
        if self.missing is None:
            return {}
        rate = self.missing_rate if self.missing in mechanisms.WITH_RATE else None
        return {"missing": {"mechanism": self.missing, "rate": rate, "seed": self.missing_seed}}

    @property
    def training_split(self) -> Split:
        return self.shown.get("train", self.train)

    @property
    def seen(self) -> Tensor | None:
        return None if self.shown else super().seen

    @property
    def shown_beside_samples(self) -> Tensor | None:
        return None if self.shown else super().shown_beside_samples

    unseen = "was shown with holes"

    def val_dataloader(self) -> Batches:
        loader = super().val_dataloader()
        if self.shown:
            loader.split = self.shown["val"][: self.num_val]
        return loader
