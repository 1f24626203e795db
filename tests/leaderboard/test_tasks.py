"""Tables of tasks from rows made by hand: cases, seeds, targets, floors with draws, missing values, rows of another form."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from genarena import config
from genarena.evaluation.pictures import save_samples
from genarena.leaderboard import page, task_formats, task_groups, task_plots, task_texts, tasks
from genarena.leaderboard.labels import box_of, overlap
from genarena.leaderboard.runs import Run
from genarena.leaderboard.tables import make_tables
from genarena.leaderboard.tasks import TaskTable
from genarena.runs import results
from genarena.spec import DataSpec
from tests.leaderboard.rows import make_record, make_row, make_task_row, write_rows

UP, DOWN = {"higher_is_better": True}, {"higher_is_better": False}


def metrics(psnr: float | None, fd: float, half_width: float | None = 0.5, **more: Any) -> dict[str, Any]:
    return {
        "psnr": make_record(psnr, half_width, title="PSNR", unit="dB", **UP),
        "fd_domain": make_record(fd, title="FD domain", **DOWN),
    } | more


def calibrated(coverage: float, spread: float) -> dict[str, Any]:
    return {
        "coverage": make_record(coverage, 0.02, title="coverage", target=0.9, **UP),
        "spread_skill": make_record(spread, 0.1, title="spread-skill", target=1.0),
    }


FLOORS = {
    "fill": metrics(14.0, 30.0),
    "lmmse": metrics(20.0, 12.0, **calibrated(0.88, 0.97)),
    "lmmse, draw": metrics(18.0, 6.0),
}


def ddpm(case: str = "denoise_0.1", seed: int = 0, psnr: float = 22.0, **changes: Any) -> dict[str, Any]:
    lines = {"mean": metrics(psnr, 9.0, **calibrated(0.8, 0.7)), "draw": metrics(psnr - 2.5, 3.0)}
    return make_task_row("ddpm", lines, FLOORS, case, seed, **changes)


def tables_of(tmp_path: Path, *rows: dict[str, Any]) -> list[TaskTable]:
    return tasks.make_task_tables([Run(row, tmp_path / str(number)) for number, row in enumerate(rows)])


def names(table: TaskTable) -> list[str]:
    return [line.label for line in table.lines]


def test_the_ranking_metric_orders_models_and_floors(tmp_path: Path) -> None:
    (table,) = tables_of(tmp_path, ddpm(), make_task_row("vae", {"mean": metrics(None, 8.0)}, FLOORS))
    assert names(table) == ["ddpm mean", "lmmse", "ddpm draw", "lmmse, draw", "fill", "vae mean"]
    assert [column.heading for column in table.columns.values()] == [
        *("PSNR (dB) ↑", "FD domain ↓", "coverage → 0.9", "spread-skill → 1"),
    ]
    assert table.lines[-1].value("psnr").text == "–" and table.lines[-1].value("psnr").over == "not measured"


def test_a_target_has_no_direction_and_no_best(tmp_path: Path) -> None:
    calibration = calibrated(0.99, 1.5)
    only = make_task_row(
        "vae", {"": calibration | metrics(20.0, 1.0)}, {"floor": calibrated(0.5, 0.2) | metrics(1.0, 2.0)}
    )
    (table,) = tables_of(tmp_path, only)
    assert next(iter(table.columns)) == "coverage" and table.ranked_by == "psnr"
    assert set(table.best) == {"psnr"}
    (table,) = tables_of(tmp_path, make_task_row("vae", {"": calibration}, {"floor": calibrated(0.5, 0.2)}))
    assert table.ranked_by is None and task_groups.groups([table])[0].over_cases == []


@pytest.mark.parametrize(("half_width", "is_best"), [(1.0, True), (1.5, False), (None, False)])
def test_the_best_is_marked_where_the_intervals_support_it(
    half_width: float | None, is_best: bool, tmp_path: Path
) -> None:
    lines = {"mean": metrics(22.0, 9.0, half_width), "draw": metrics(19.0, 3.0, half_width)}
    (table,) = tables_of(tmp_path, make_task_row("ddpm", lines, {"lmmse": metrics(20.0, 12.0, half_width)}))
    assert (table.best.get("psnr") is table.lines[0]) == is_best  # 2 against sqrt(2) and 1.5 sqrt(2)
    assert "fd_domain" not in table.best  # no intervals
    assert ("**22.0 ± 1.0**" in task_formats.markdown([table])) == is_best


def test_seeds_are_one_line(tmp_path: Path) -> None:
    (table,) = tables_of(tmp_path, *(ddpm(seed=seed, psnr=22.0 + seed) for seed in range(3)))
    assert len(table.lines[0].runs) == 3 and table.lines[0].value("psnr").value == 23.0
    assert table.lines[0].value("psnr").over == "3 training seeds"
    (table,) = tables_of(tmp_path, ddpm(seed=0), ddpm(seed=1, psnr=23.0))
    assert table.lines[0].value("psnr").text == "22.00, 23.00" and "psnr" not in table.best


@pytest.mark.parametrize(
    ("shape", "counted", "said"),
    [
        ([3, 8, 8], {}, "1,200 images"),
        ([13], {}, "1,200 examples"),
        ([3, 8, 8], {"counted": "prompts"}, "1,200 prompts"),
    ],
)
def test_what_was_counted_is_named(shape: list[int], counted: dict[str, str], said: str, tmp_path: Path) -> None:
    found = {"psnr": make_record(22.0, 0.5, title="PSNR", **UP) | {"n": 1200} | counted}
    row = make_task_row("ddpm", {"": found}, {"floor": found})
    row["data"]["shape"] = shape
    (table,) = tables_of(tmp_path, row)
    assert [line.value("psnr").over for line in table.lines] == [said, said]


def test_seeds_that_chose_other_layers_are_one_line(tmp_path: Path) -> None:
    """The layer is chosen anew in each run: the line is that of the choice, not of the name."""

    def row(seed: int, **layers: tuple[float, str]) -> dict[str, Any]:
        """layers: name -> its value, and the first letters of its roles."""
        made = make_task_row(
            "vae", {name: metrics(value, 9.0) for name, (value, _) in layers.items()}, FLOORS, seed=seed
        )
        for name, (_, by) in layers.items():
            made["task"]["lines"][name] |= {"roles": [f"best by {letter}" for letter in by], "remark": f"{name}: low"}
        return made

    rows = [row(0, deep=(20.0, "a"), code=(17.0, "b")), row(1, code=(21.0, "ab")), row(2, code=(22.0, "ab"))]
    del rows[0]["task"]["lines"]["code"]["remark"], rows[1]["task"]["lines"]["code"]["remark"]
    (table,) = tables_of(tmp_path, *rows)
    one, two = (line for line in table.lines if not line.is_floor)
    assert (one.part, one.value("psnr").value) == ("best by a", 21.0)
    assert one.value("psnr").over == "3 training seeds (deep, code, code)"
    assert (two.part, two.value("psnr").value, two.value("psnr").over) == ("code", 20.0, "3 training seeds")
    assert one.remark == ("deep, 2 of 3 seeds", "low") and two.remark == ("code, 1 of 3 seeds", "low")
    (table,) = tables_of(tmp_path, *(row(seed, code=(20.0 + seed, "ab")) for seed in range(3)))
    assert [line.part for line in table.lines if not line.is_floor] == ["code"]


def test_ranks_over_cases(tmp_path: Path) -> None:
    vae = {"": metrics(25.0, 9.0)}
    rows = [ddpm(), ddpm("sr4", psnr=21.0), make_task_row("vae", vae, FLOORS)]
    (group,) = task_groups.groups(tables_of(tmp_path, *rows))
    assert group.title == "Restoration" and [group.name(table) for table in group.tables] == ["denoise_0.1", "sr4"]
    found = {each.line.label: (each.ranks, each.mean) for each in group.over_cases}
    assert found["ddpm mean"] == ((2, 1), 1.5) and found["lmmse"] == ((3, 2), 2.5)
    assert found["vae"] == ((1, None), None)  # not in every case
    assert next(each.line.label for each in group.over_cases) == "ddpm mean"
    (alone,) = task_groups.groups(tables_of(tmp_path, ddpm()))
    assert alone.over_cases == []
    other = ddpm(protocol={"id": "other", "table": "restoration", "case": "denoise_0.1"})
    (group,) = task_groups.groups(tables_of(tmp_path, ddpm(), other))
    assert [group.name(table) for table in group.tables] == ["denoise_0.1 other", "denoise_0.1 p-denoise_0.1"]


def test_perception_and_distortion(tmp_path: Path) -> None:
    (table,) = tables_of(tmp_path, ddpm())
    plot = task_plots.perception(table)
    at = {mark.line.label: (mark.x, mark.y) for mark in plot.marks}
    assert at["ddpm mean"][0] > at["ddpm draw"][0] and at["ddpm mean"][1] < at["ddpm draw"][1]  # y points down
    assert sorted(len(points.split()) for _, points in plot.joins) == [2, 2]  # ddpm; lmmse and its draw
    assert {mark.colour for mark in plot.marks if not mark.line.is_floor} == {task_plots.colour("vae")}  # as in rows.py
    (few,) = tables_of(tmp_path, make_task_row("ddpm", {"": {"psnr": make_record(1.0, **UP)}}, {}))
    assert task_plots.perception(few) is None is task_plots.calibration(few)


def test_calibration_has_its_targets(tmp_path: Path) -> None:
    (table,) = tables_of(tmp_path, ddpm())
    plot = task_plots.calibration(table)
    at = {mark.line.label: mark for mark in plot.marks}
    assert set(at) == {"ddpm mean", "lmmse"}
    assert at["ddpm mean"].x < at["lmmse"].x < plot.rules[0] and at["ddpm mean"].y > plot.rules[1]
    low, high = at["lmmse"].across
    assert low < at["lmmse"].x < high and at["lmmse"].bar[0] > at["lmmse"].y > at["lmmse"].bar[1]


def test_strengths_of_guidance_are_joined_in_their_order(tmp_path: Path) -> None:
    """Not in that of the table, whose ranking metric is best in between."""
    found = {"s=0": (9.0, 0.1, 0.8), "s=1": (2.0, 0.8, 0.9), "s=3": (1.0, 0.95, 0.7), "s=8": (5.0, 0.99, 0.2)}
    lines = {
        part: {
            "fd_joint": make_record(joint, title="FD joint", **DOWN),
            "class_accuracy": make_record(accuracy, title="class accuracy", **UP),
            "recall": make_record(recall, title="recall", **UP),
        }
        for part, (joint, accuracy, recall) in found.items()
    }
    row = make_task_row("ddpm", lines, {"memoriser": lines["s=3"]})
    row["task"]["floors"]["real"] = {"metrics": lines["s=8"], "is_real": True}
    (table,) = tables_of(tmp_path, row)
    assert names(table)[:2] == ["ddpm s=3", "memoriser"] or names(table)[:2] == ["memoriser", "ddpm s=3"]
    plot = task_plots.obedience(table)
    marks = {mark.line.label: mark for mark in plot.marks}
    assert plot in task_groups.plots(table) and "real" not in marks
    (join,) = (points for _, points in plot.joins)
    at = [tuple(float(number) for number in point.split(",")) for point in join.split()]
    assert at == [pytest.approx((marks[f"ddpm {part}"].x, marks[f"ddpm {part}"].y), abs=0.1) for part in found]
    assert plot.rules[1] == min(mark.y for mark in plot.marks)  # the accuracy of real images, which is that of s=8
    assert task_plots.obedience(tables_of(tmp_path, ddpm())[0]) is None
    (long,) = tables_of(tmp_path, make_task_row("flow_matching_with_a_long_name", lines, {}))
    assert {mark.label for mark in task_plots.obedience(long).marks} == {
        f"flow_matching_with_… {part}" for part in found
    }


def test_real_data_are_never_best_and_have_no_rank(tmp_path: Path) -> None:
    real = {"fd_domain": make_record(2.0, 0.1, title="FD domain", **DOWN)}
    rows = [ddpm(case) for case in ("denoise_0.1", "sr4")]
    for row in rows:
        row["task"]["floors"]["test images"] = {"metrics": real, "is_real": True}
        for line in row["task"]["lines"].values():
            line["metrics"]["fd_domain"]["ci95_half_width"] = 0.1
    found = tables_of(tmp_path, *rows)
    line = next(each for each in found[0].lines if each.name == "test images")
    assert (line.kind, line.is_floor) == ("real", True) and line not in found[0].best.values()
    (group,) = task_groups.groups(found)
    assert "test images" not in {each.line.name for each in group.over_cases}
    plot = task_plots.perception(found[0])
    assert "test images" not in {mark.label for mark in plot.marks} and plot.rules[0] is None
    assert plot.rules[1] > max(mark.y for mark in plot.marks)  # below all
    assert task_plots.perception(tables_of(tmp_path, ddpm())[0]).rules == (None, None)


def test_a_column_stands_where_its_own_line_has_it(tmp_path: Path) -> None:
    """The draw has a metric between two of the mean."""
    first, last = make_record(1.0, title="first", **UP), make_record(1.0, title="last", **UP)
    lines = {"mean": {"first": first, "last": last}, "draw": {"first": first, "crps": make_record(1.0), "last": last}}
    (table,) = tables_of(tmp_path, make_task_row("vae", lines, {"floor": {"ssim": last, "first": first}}))
    assert list(table.columns) == ["ssim", "first", "crps", "last"]


def test_names_stand_on_no_interval(tmp_path: Path) -> None:
    (table,) = tables_of(tmp_path, ddpm(psnr=20.5))
    plot = task_plots.perception(table)
    bars = [(min(mark.across), mark.y, max(mark.across), mark.y) for mark in plot.marks if mark.across]
    boxes = [box_of(mark.label, *mark.text) for mark in plot.marks if mark.text]
    assert len(bars) == len(boxes) == 5 and not any(overlap(box, bar) for box in boxes for bar in bars)


@pytest.mark.parametrize("change", [{"protocol": {"id": "x"}}, {"protocol": {"id": "x", "case": "c"}}])
def test_rows_of_another_form_are_named(change: dict[str, Any], tmp_path: Path) -> None:
    run = write_rows(tmp_path, [make_row("ddpm")]) / "digits" / "ddpm" / "0"
    for name, task in (("old", change), ("new", {})):
        results.write_row(ddpm(**task), run / "evaluations" / name / "result.json")
    rows, left_out = tasks.read_task_rows(tmp_path)
    assert [row.folder.name for row in rows] == ["new"]
    (text,) = left_out
    assert "old/result.json is a row of a task in another form: score it again with scripts/task.py" in text


def test_csv_has_every_line(tmp_path: Path) -> None:
    found = list(csv.DictReader(io.StringIO(task_formats.comma_separated(tables_of(tmp_path, ddpm(), ddpm("sr4"))))))
    assert len(found) == 2 * 5 and {row["task"] for row in found} == {"Denoising: denoise_0.1", "Denoising: sr4"}
    mean = next(row for row in found if (row["method"], row["part"]) == ("ddpm", "mean"))
    assert (mean["psnr"], mean["psnr_ci95"], mean["coverage"], mean["kind"]) == ("22.0", "0.5", "0.8", "heuristic")


def test_the_page(tmp_path: Path) -> None:
    run = write_rows(tmp_path, [make_row("ddpm")]) / "digits" / "ddpm" / "0"
    for case in ("denoise_0.1", "sr4"):
        folder = run / "evaluations" / case
        results.write_row(ddpm(case), folder / "result.json")
        images = torch.zeros(30, 1, 8, 8, dtype=torch.uint8)
        save_samples(images, DataSpec((1, 8, 8), 256), folder / "restored.png", 10)
    plain = make_tables([Run(make_row("ddpm"), run)])
    html = page.render(plain, [], tasks=tasks.make_task_tables(tasks.find_task_rows(tmp_path)))
    assert html.count('id="tasks"') == 1 and html.count("Ranks over the cases") == 1
    assert html.count("<b>Perception and distortion</b>") == 2 == html.count("<b>Calibration</b>")
    assert html.count("<li>original</li><li>observed</li><li>mmps</li>") == 2 == html.count('loading="lazy"')
    assert 'title="an approximation that stays one, however long it runs">mmps, heuristic' in html
    assert 'class="reference">\n<th scope="row">lmmse, draw' in html
    without = page.render(plain, [])
    assert "strip" not in without and 'id="tasks"' not in without  # not even its style


def test_remarks_stand_beside_the_line_and_its_task_is_explained(tmp_path: Path) -> None:
    areas = {
        name: {"auroc": make_record(value, 0.01, title="AUROC", **UP)} for name, value in (("nll", 0.03), ("kl", 0.9))
    }
    protocol = {"id": "p", "table": "anomaly", "case": "against_mnist"}
    row = make_task_row("vae", areas, {"png length, negative": {}}, protocol=protocol)
    row["task"]["lines"]["nll"]["remark"] = "known failure: simple <images>"
    found = tables_of(tmp_path, row)
    assert {line.part: line.remark for line in found[0].lines} == {
        **{"nll": ("known failure", "simple <images>"), "kl": ("", ""), "": ("", "")},
    }
    html = page.render([], [], tasks=found)
    assert (
        'title="simple &lt;images&gt;">known failure</b>' in html and "</b> vae nll: simple &lt;images&gt;</p>" in html
    )
    assert html.count("known failure</b>") == 2 and "arXiv 1810.09136" in html
    assert "- vae nll: known failure: simple \\<images\\>" in task_formats.markdown(found)
    guides = make_task_row("vae", areas, {}, protocol={"id": "p", "table": "sdedit", "case": "blocks"})
    html = page.render([], [], tasks=tables_of(tmp_path, guides))
    assert html.count(">Images from guides</a>, ") == 1 == html.count(">Images from guides: ")
    assert "arXiv 1810.09136" not in page.render([], [], tasks=tables_of(tmp_path, ddpm()))


def test_every_task_is_explained() -> None:
    targets = [OmegaConf.load(config.file_of("task", name))["_target_"] for name in config.available("task")]
    assert {get_class(target).table.capitalize() for target in targets} == set(task_texts.TEXTS)
