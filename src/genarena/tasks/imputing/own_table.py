"""A user's table with holes, completed by a finished run whose data set has the same columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from genarena.build import build
from genarena.data.reading.holes import HoledTable, read_holes
from genarena.data.table_set import TableSet
from genarena.errors import UserError
from genarena.evaluation.rescoring import load_data
from genarena.models.base import GenerativeModel
from genarena.runs import stored_config
from genarena.runs.folder import RunFolder
from genarena.tasks.impute import Impute
from genarena.tasks.imputing.completed import Completed, with_model
from genarena.tasks.imputing.rows import Rows, Standard, rows_of


def complete(
    run: str | Path,
    table: Path,
    node: Mapping[str, Any],
    part: Literal["mean", "draw"] = "mean",
    root: str | None = None,
    device: str = "cpu",
) -> tuple[HoledTable, np.ndarray, str]:
    """The table, its rows (N, D) with holes filled, in the units of the file, and the name of the algorithm.

    part: the mean of the draws, or one of them. node: of the task, see `choosing.chosen`. root: of the run's data.
    Raises UserError for a table that does not fit, a run of other data than tables, and what `Impute` refuses.
    """
    shape = stored_config.load(RunFolder.open(run).config)["data"]["spec"]["shape"]
    if len(shape) != 1:
        raise UserError(f"run={run}: its data has shape {tuple(shape)}, expected a table")
    read = read_holes(Path(table), shape[0], "the data of the run")
    task: Impute = build(dict(node), "task=impute")
    data = load_data(run, root)
    if not isinstance(data, TableSet):
        raise UserError(f"run={run}: {data.name} is no table of columns with units")
    check_names(table, read.names, data.column_names)
    model = RunFolder.open(run).rebuild(device)[1]
    try:
        algorithm = task.algorithm_for(model)
        made = _completed(task, algorithm, model, data, read.rows)
    except ValueError as error:
        raise UserError(f"task=impute: {error}") from error
    if made.failures:
        raise UserError(
            f"{table}: {made.failures} of {len(read.rows)} rows have no finite completion; nothing is written"
        )
    filled = Standard.of(_train(task, data)).inverse(made.fill if part == "mean" else made.one)
    return read, (data.raw_center + data.raw_scale * filled).numpy(), algorithm.name


def check_names(table: Path, names: Sequence[str] | None, known: Sequence[str] | None) -> None:
    """Raises UserError for columns that are not called as those of the run's data, or stand in another order. Nothing is
    known where one of the two has no names."""
    for number, (name, wanted) in enumerate(zip(names or (), known or (), strict=False), 1):
        if name.strip() != wanted:
            where = " (the columns stand in another order)" if name.strip() in known else ""
            raise UserError(f"{table}: column {number} is called {name.strip()[:40]!r}, expected {wanted!r}{where}")


def _train(task: Impute, data: TableSet) -> torch.Tensor:
    return rows_of(data, "train", task.num_train, data.training_split.x.isnan()).holed


def _completed(task: Impute, algorithm: Any, model: GenerativeModel, data: TableSet, rows: np.ndarray) -> Completed:
    x = (torch.from_numpy(rows) - data.raw_center) / data.raw_scale
    known = Rows(x.nan_to_num(), x.isnan())
    return with_model(algorithm, model, known, Standard.of(_train(task, data)), task.seed, task.num_draws)
