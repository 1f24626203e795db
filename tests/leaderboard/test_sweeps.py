"""Searches on the page: every finished trial in its place, what mattered, nothing executed, no validation row in a table."""

import json
import re
import shutil
from pathlib import Path

import pytest

from genarena.errors import UserError
from genarena.leaderboard import formats, latex, page
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.sweeps import BARS, BOTTOM, HEIGHT, LABEL, TOP, bars, find_sweeps, parallel
from genarena.leaderboard.tables import make_tables
from tests.leaderboard.rows import make_row, write_rows

HOSTILE = "<script>alert(1)</script>'\"{{ 7*7 }}"
ABOUT = {
    "name": "vae",
    "model": "vae",
    "data": "digits",
    "line": ["data=digits"],
    "trials": 4,
    "objectives": ["fd", "recall"],
    "directions": ["minimize", "maximize"],
    "space": {
        "model.lr": {"low": 0.001, "high": 0.1, "log": True},
        "model.width": {"low": 0, "high": 10},
        "model.kind": {"choices": [None, "b", 3]},
    },
}


def trial(
    index: int, values: list | None, lr: float, width: float, kind: str, state: str = "done", error: str = ""
) -> dict:
    params = {"model.lr": lr, "model.width": width, "model.kind": kind}
    return {
        "number": index,
        "state": state,
        "params": params,
        "values": values,
        "run": "",
        "error": error,
        "seconds": 1.0,
    }


TRIALS = [
    trial(0, [3.0, 0.1], 0.001, 0, "null"),
    trial(1, [1.0, 0.5], 0.01, 5, "b"),
    trial(2, None, 0.05, 1, "b", "failed", HOSTILE),
    trial(3, [2.0, 0.9], 0.1, 10, "3"),
]


def write(folder: Path, about: dict = ABOUT, **parts: object) -> Path:
    folder.mkdir(parents=True)
    content = {
        "sweep": about,
        "trials": TRIALS,
        "best": [1, 3],
        "importance": {"fd": {"model.width": 0.25, "model.lr": 0.75}},
    }
    (folder / "trials.json").write_text(json.dumps(content | parts))
    return folder


def test_every_finished_trial_passes_through_its_values(tmp_path: Path) -> None:
    write(tmp_path / "sweeps" / "one")
    (sweep,), broken = find_sweeps(tmp_path)
    assert broken == []
    assert sweep.counts == "4 of 4 trials: 3 done, 1 failed"
    plot = parallel(sweep)
    assert [scale.title for scale in plot.scales] == ["lr", "width", "kind", "fd", "recall"]
    bottom, top = HEIGHT - BOTTOM, TOP
    middle = (bottom + top) / 2
    heights = {thread.number: [float(pair.split(",")[1]) for pair in thread.points.split()] for thread in plot.threads}
    assert heights == {
        0: [bottom, bottom, bottom, top, bottom],
        1: [middle, middle, middle, bottom, middle],
        3: [top, top, top, middle, top],
    }
    assert [label for _, label in plot.scales[0].ticks] == ["0.001", "0.01", "0.1"]
    assert [label for _, label in plot.scales[2].ticks] == ["null", "b", "3"]
    shades = {thread.number: (thread.shade, thread.is_best) for thread in plot.threads}
    assert shades == {0: (0.0, False), 3: (0.5, True), 1: (1.0, True)}
    assert [thread.number for thread in plot.threads] == [0, 3, 1]  # the best is drawn last


def test_bars_are_as_long_as_their_share(tmp_path: Path) -> None:
    write(tmp_path / "one")
    ((sweep,), _) = find_sweeps(tmp_path)
    (first, second) = bars(sweep)["fd"]
    assert (first.name, first.share, second.share) == ("model.lr", "75%", "25%")
    assert first.length == pytest.approx(3 * second.length) == pytest.approx(0.75 * (BARS - LABEL - 50))


def test_what_cannot_be_read_is_said_and_the_rest_shown(tmp_path: Path) -> None:
    write(tmp_path / "good")
    write(tmp_path / "odd", trials=[{"number": 0, "state": "done"}, {"number": 1, "state": "done"}])
    (write(tmp_path / "cut") / "trials.json").write_text('{"sweep": ')
    (sweep,), broken = find_sweeps(tmp_path)
    assert sweep.folder == "good" and len(broken) == 2
    assert all("is not the record of a sweep" in text for text in broken)


def test_the_page_shows_searches_and_executes_nothing_of_them(tmp_path: Path) -> None:
    hostile = ABOUT | {"name": HOSTILE, "line": [HOSTILE], "objectives": ["fd", HOSTILE]}
    write(tmp_path / "one", hostile, importance={HOSTILE: {HOSTILE: 1.0}})
    tables = make_tables(find_runs(write_rows(tmp_path, [make_row("vae", value=2.0)]))[0])
    html = page.render(tables, [], searches=find_sweeps(tmp_path)[0])
    assert "<script>alert" not in html and html.count("<script>") == 1 and "&lt;script&gt;alert(1)" in html
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", html) and " style=" not in html
    assert len(re.findall(r'<polyline class="trace" points="[^"]*" stroke-opacity', html)) == 3
    assert "4 of 4 trials: 3 done, 1 failed" in html


def test_validation_rows_are_in_no_table(tmp_path: Path) -> None:
    chosen_by = make_row("vae", value=1.0)
    chosen_by["data"] = chosen_by["data"] | {"split": "val"}
    folder = write_rows(tmp_path, [chosen_by])
    place = folder / "digits" / "vae" / "0" / "result.json"
    assert find_runs(folder) == ([], [f"{place} is about the validation split, and no result"])
    search = write(tmp_path / "search")
    shutil.copytree(folder / "digits", search / "runs" / "digits")
    assert find_runs(search) == ([], [])  # a folder of searches alone is no mistake
    shutil.rmtree(search)
    write(tmp_path / "one")
    for made in (formats.markdown, formats.comma_separated, formats.as_json, latex.latex):
        assert isinstance(made([]), str)
    assert 'id="sweeps"' in page.render(make_tables([]), [], searches=find_sweeps(folder)[0])
    with pytest.raises(UserError, match="no finished run"):
        find_runs(write(tmp_path / "empty"))
