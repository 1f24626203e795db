"""Pictures of tasks on the page: each with its own labels, floors once, moving ones beside the still one of their name."""

from pathlib import Path
from typing import Any

import torch

from genarena.evaluation.pictures import save_frames, save_samples
from genarena.leaderboard import page, task_strips, tasks
from genarena.leaderboard.task_strips import Strip
from genarena.runs import results
from genarena.spec import DataSpec
from tests.leaderboard.rows import make_record, make_row, make_task_row, write_rows

SPEC = DataSpec((1, 8, 8), 256)
PICTURES = {
    "lerp.png": {"text": "a pair per row"},
    "lerp.gif": {"text": "there and back"},
    "ends.png": {"rows": ["first", "last"]},
    "scores.png": {"is_plot": True},
    "pixels.png": {"text": "a pair per row", "is_floor": True},
    "pixels.gif": {"is_floor": True},
}


def written(tmp_path: Path, *models: str) -> list[tasks.TaskTable]:
    """The table of runs, a row of the task each, the first one the best."""
    runs = write_rows(tmp_path, [make_row(model) for model in models]) / "digits"
    for place, model in enumerate(models):
        folder = runs / model / str(place) / "evaluations" / "interpolation"
        score = {"confidence": make_record(1.0 / (1 + place), title="confidence", higher_is_better=True)}
        row = make_task_row(model, {"": score}, {"pixel blend": {}}, pictures=PICTURES)
        results.write_row(row | {"evaluation": "interpolation"}, folder / "result.json")
        for name in PICTURES:
            frames = torch.arange(5, dtype=torch.uint8)[:, None, None, None, None].expand(5, 20, 1, 8, 8) * 50
            if name.endswith(".gif"):
                save_frames(frames, SPEC, folder / name, 10)
            else:
                save_samples(frames[place], SPEC, folder / name, 10)
    return tasks.make_task_tables(tasks.find_task_rows(tmp_path))


def shown(strip: Strip) -> tuple[Any, ...]:
    still, moving = strip.still, strip.moving
    return strip.line.name, strip.name, still and (still.rows, still.text), moving and moving.text


def test_each_picture_has_its_own_labels_and_floors_come_once(tmp_path: Path) -> None:
    (table,) = written(tmp_path, "vae", "ddpm")
    pictures, complaints = task_strips.pictures([table])
    assert complaints == [] and {len(each) for each in pictures.values()} == {6}
    assert [shown(strip) for strip in task_strips.strips(table, pictures)] == [
        ("vae", "lerp", ([], "a pair per row"), "there and back"),
        ("vae", "ends", (["first", "last"], ""), None),
        ("vae", "scores", ([], ""), None),
        ("ddpm", "lerp", ([], "a pair per row"), "there and back"),
        ("ddpm", "ends", (["first", "last"], ""), None),
        ("ddpm", "scores", ([], ""), None),
        ("vae", "pixels", ([], "a pair per row"), ""),
    ]


def test_the_page_shows_them(tmp_path: Path) -> None:
    tables = written(tmp_path, "vae", "ddpm")
    html = page.render([], [], tasks=tables)
    assert (
        html.count("<li>first</li><li>last</li>") == 2 and html.count("<summary>Moving: there and back</summary>") == 2
    )
    assert (
        html.count("<b>pixels</b>, floor") == 1
        and html.count("data:image/webp") == 2 * 4 + 2
        and html.count('class="drawn"') == 2
    )
    assert html.count('alt="vae, lerp: a pair per row"') == 1 == html.count('alt="ddpm, ends: first, last"')


def test_damaged_pictures_are_named_and_left_out(tmp_path: Path) -> None:
    tables = written(tmp_path, "vae")
    folder = tables[0].lines[0].folder
    (folder / "lerp.gif").write_bytes(b"no picture")
    pictures, (complaint,) = task_strips.pictures(tables)
    assert "lerp.gif cannot be read as a picture" in complaint and set(pictures[folder]) == set(PICTURES) - {"lerp.gif"}
    strip = next(each for each in task_strips.strips(tables[0], pictures) if each.name == "lerp")
    assert strip.still and strip.moving is None
