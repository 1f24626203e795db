"""Labelled samples of models of one class each, which together are a model of p(x | label)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.errors import UserError
from genarena.models.base import GenerativeModel
from genarena.options.values import Folder
from genarena.runs import named, seals, stored_config
from genarena.runs.folder import RunFolder
from genarena.tasks.augmenting.labels import Drawn, LabelledSamples, sampled

SAME = ("only", "seed", "root", "batch_size", "num_val")  # options of data in which the runs may differ


@dataclass(frozen=True)
class PerClass(LabelledSamples):
    """x ~ p_y(x), a run for each label y, which was trained on its examples alone (`data.only=<y>`).

    runs: folders of these runs, or folders above them; there is one for each label, and all are of one model and one data set.
    """

    name = "per_class"
    exactness = "exact"

    runs: Sequence[Folder] = ()

    @cached_property
    def of_classes(self) -> dict[int, RunFolder]:
        """Label to run. Raises UserError for a label with two runs, a run of all labels, and one that is not finished."""
        if not self.runs:
            raise UserError(
                "algorithm.runs is missing: the folder above a run of each label, trained with data.only=0,1,..."
            )
        found: dict[int, RunFolder] = {}
        for path in dict.fromkeys(path for text in self.runs for path in named.folders(text)):
            folder = RunFolder.open(path)
            if not folder.chosen.is_file():
                raise UserError(f"algorithm.runs: {_short(path)} is not finished")
            label = stored_config.load(folder.config)["data"].get("only")
            if label is None:
                raise UserError(f"algorithm.runs: {_short(path)} was trained on all labels, not with data.only=<label>")
            if label in found:
                raise UserError(
                    f"algorithm.runs: {_short(path)} and {_short(found[label].path)} are both of label {label}"
                )
            found[label] = folder
        return dict(sorted(found.items()))

    def check(self, data: Mapping[str, Any]) -> None:
        """Raise UserError if the runs do not belong together, or a label has none. data: the configuration of a run's data."""
        if lacking := sorted(set(range(data["spec"]["num_classes"] or 0)) - set(self.of_classes)):
            raise UserError(
                f"algorithm.runs: there is no run of label {lacking[0]}, trained with data.only={lacking[0]}"
            )
        models = set()
        for folder in self.of_classes.values():
            cfg = stored_config.load(folder.config)
            other = next(
                (each for each in {*data, *cfg["data"]} - {*SAME} if data.get(each) != cfg["data"].get(each)), None
            )
            if other:
                raise UserError(f"algorithm.runs: {_short(folder.path)} has data.{other}={cfg['data'].get(other)}")
            models.add(cfg["model"]["_target_"])
        if len(models) > 1:
            raise UserError(f"algorithm.runs: they are of different models, {' and '.join(sorted(models))}")

    def options(self) -> dict[str, Any]:
        """The weights of the runs, the same wherever they lie."""
        return {"runs": [seals.digest(folder.chosen)[:8] for folder in self.of_classes.values()]}

    def draw(self, model: GenerativeModel, y: Tensor, classify: Callable[[Tensor], Tensor], seed: int) -> Drawn:
        """model: one of them, whose type and device are those of the samples."""
        x, failures = torch.empty(len(y), *model.spec.shape, dtype=model.spec.dtype), 0
        for label in y.unique().tolist():
            rows, folder = y == label, self.of_classes[label]
            own = folder.rebuild(model.device)[1].eval()
            seals.check(seals.digest(folder.chosen), folder.chosen)
            x[rows], broken = sampled(own, int(rows.sum()), None, seed + label)
            failures += broken
        return Drawn(Split(x, y), failures)


def _short(path: Path) -> str:
    return "/".join(path.parts[-3:])
