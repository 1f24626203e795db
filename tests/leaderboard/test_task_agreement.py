"""Rank correlations of the metrics of a task, from rows made by hand."""

from pathlib import Path
from typing import Any

import pytest

from genarena.leaderboard import page, task_agreement, task_formats, tasks
from genarena.leaderboard.runs import Run
from genarena.leaderboard.tasks import TaskTable
from tests.leaderboard.rows import make_record, make_task_row

RULES = {"id": "p", "table": "disentanglement", "case": ""}


def scores(mig: float, **more: float | None) -> dict[str, Any]:
    values = {"mig": mig, "sap": mig**2, "modularity": 1.0 - mig, "irs": 0.5} | more
    return {name: make_record(value, title=name.upper(), higher_is_better=True) for name, value in values.items()}


def table(tmp_path: Path, migs: list[float], protocol: dict[str, str] = RULES, **more: float | None) -> TaskTable:
    """Two models with seeds in turn; the untrained lines and the floor are in the opposite order."""
    rows = [
        make_task_row(
            ("vae", "glow")[number % 2],
            {"": scores(mig, **more), "untrained": scores(mig, sap=-mig)},
            {"noise": scores(0.0, sap=9.0)},
            seed=number // 2,
            protocol=protocol,
        )
        for number, mig in enumerate(migs)
    ]
    (found,) = tasks.make_task_tables([Run(row, tmp_path / str(number)) for number, row in enumerate(rows)])
    return found


def test_each_seed_of_each_trained_model_is_a_run(tmp_path: Path) -> None:
    found = task_agreement.agreement(table(tmp_path, [0.1, 0.5, 0.3, 0.2, 0.4]))
    assert found.titles == ["MIG", "SAP", "MODULARITY", "IRS"] and found.num_runs == 5 and found.chance == 0.98
    assert found.correlations[0] == [pytest.approx(1.0), pytest.approx(1.0), pytest.approx(-1.0), None]
    assert found.correlations[3] == [None] * 4  # all runs are equal
    text = task_agreement.markdown(table(tmp_path, [0.1, 0.5, 0.3, 0.2, 0.4]))
    assert "| 3 MODULARITY | -1.00 | -1.00 | 1.00 | – |" in text
    assert text in task_formats.markdown([table(tmp_path, [0.1, 0.5, 0.3, 0.2, 0.4])])
    html = page.render([], [], tasks=[table(tmp_path, [0.1, 0.5, 0.3, 0.2, 0.4])])
    assert "Do the metrics agree? Rank correlations over 5 runs" in html


def test_few_runs_other_tasks_and_missing_values_have_none(tmp_path: Path) -> None:
    assert task_agreement.agreement(table(tmp_path, [0.1, 0.5, 0.3, 0.2])) is None
    other = RULES | {"table": "restoration"}
    assert task_agreement.agreement(table(tmp_path, [0.1, 0.5, 0.3, 0.2, 0.4], other)) is None
    found = task_agreement.agreement(table(tmp_path, [0.1, 0.5, 0.3, 0.2, 0.4], sap=None))
    assert found.titles == ["MIG", "MODULARITY", "IRS"]
