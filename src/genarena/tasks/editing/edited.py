"""Edited images, and their scores: the attribute, everything else, and who it still is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.tasks.base import Line
from genarena.tasks.editing import attributes
from genarena.tasks.editing.domain import Domain
from genarena.tasks.editing.images import rmse
from genarena.tasks.editing.records import missing, record

Edit = Callable[[int, float], Tensor]  # the first n test images under a strength, (n, C, H, W)
STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # standard deviations of the codes along the direction
SCORED = 2.0  # the strength at which changes are scored


@dataclass(frozen=True)
class Judge:
    """Scores edits of one attribute of test images x (N, C, H, W)."""

    data: ArenaDataModule
    domain: Domain
    attribute: str
    x: Tensor

    def line(self, edit: Edit) -> Line:
        """Changes at the strength `SCORED` from the unedited image of the method, in standard deviations of test images."""
        made = {strength: self.rounded(edit(len(self.x), strength)) for strength in STRENGTHS}
        seen = {strength: self.domain.features(image) for strength, image in made.items()}
        found = {strength: self._scores(made[strength], seen[strength]) for strength in STRENGTHS}
        change = {name: (found[SCORED][name] - found[0.0][name]) / self._spread()[name] for name in found[0.0]}
        leak = torch.stack([change[name].abs() for name in attributes.others(self.attribute, self.data)]).sum(0)
        target = change[self.attribute]
        ratio = target.mean() / leak.mean().clamp_min(1e-9)
        moved = (seen[SCORED] - self.domain.features(self.x)).norm(dim=1) / self.domain.typical
        along = torch.stack([found[strength][self.attribute] for strength in STRENGTHS])
        metrics = {
            "ratio": {"value": ratio.item(), "title": "target / leak", "n": len(self.x), "higher_is_better": True},
            "target": record(target, f"change of {self.attribute} (sd)", True),
            "leak": record(
                leak, "change of all else (sd)", False, of=list(attributes.others(self.attribute, self.data))
            ),
            "moved": record(moved, "distance to the original / of two test images", False),
            "class_kept": self._kept(seen),
            "fd_domain": self.domain.distance(seen[SCORED]),
            "monotonicity": record(spearman(along), "Spearman of strength and attribute", True),
            "round_trip": record(rmse(made[0.0], self.x), "unedited RMSE", False),
        }
        return Line(metrics)

    def rounded(self, unit: Tensor) -> Tensor:
        """To the nearest level, in [-1, 1]; what is not finite is grey."""
        step = 2.0 / (self.data.spec.num_levels - 1)
        return ((unit.nan_to_num(0.0).clamp(-1.0, 1.0) + 1.0) / step).round() * step - 1.0

    def _scores(self, unit: Tensor, seen: Tensor) -> dict[str, Tensor]:
        return attributes.scores(self.data, unit, self.domain.probabilities(seen))

    def _spread(self) -> dict[str, Tensor]:
        return {
            name: each.std().clamp_min(1e-9)
            for name, each in self._scores(self.x, self.domain.features(self.x)).items()
        }

    def _kept(self, seen: Mapping[float, Tensor]) -> dict[str, Any]:
        title = "same class as before"
        if not self.domain.has_classes:
            return missing(title, "the data has no classes")
        before, after = (self.domain.probabilities(seen[each]).argmax(1) for each in (0.0, SCORED))
        wanted = None if self.attribute.startswith("class_") else True
        return record((before == after).double(), title, wanted)


def spearman(along: Tensor) -> Tensor:
    """The rank correlation (N,) of values (S, N) with their place; 0 where all are equal."""
    ranks = stats.rankdata(along.numpy(), axis=0)
    ranks = ranks - ranks.mean(0)
    places = np.arange(len(along)) - (len(along) - 1) / 2.0
    spread = np.sqrt(np.square(ranks).sum(0) * np.square(places).sum())
    return torch.from_numpy(np.divide(places @ ranks, spread, out=np.zeros(along.shape[1]), where=spread > 1e-9))
