"""Where points come to stand, which of them are the front, and that names do not lie on each other."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from genarena.errors import DataError
from genarena.leaderboard import plots
from genarena.leaderboard.drawing import Plot
from genarena.leaderboard.images import FRAMES, Gallery
from genarena.leaderboard.labels import box_of, overlap
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.scatter import pareto_front
from genarena.leaderboard.tables import make_tables
from tests.leaderboard.rows import make_line, make_row, write_rows


def test_pareto_front_by_definition() -> None:
    values = [(1.0, 9.0), (2.0, 5.0), (3.0, 6.0), (2.0, 4.0), (5.0, 4.0), (6.0, 1.0)]
    dominated = {i for i, (x, y) in enumerate(values) if any(a <= x and b <= y and (a, b) != (x, y) for a, b in values)}
    assert set(pareto_front(values)) == set(range(6)) - dominated == {0, 3, 5}


def board(tmp_path: Path, *rows: dict) -> Plot:
    (table,) = make_tables(find_runs(write_rows(tmp_path, list(rows)))[0])
    return next(plot for plot in plots.of_table(table, {})["Quality against cost"] if plot.title.endswith("size"))


def sized(model: str, parameters: int, value: float, seed: int = 0, **changes: object) -> dict:
    row = make_row(model, seed, value, **changes)
    return row | {"cost": row["cost"] | {"parameters": parameters}}


def test_scatter_is_logarithmic_and_to_scale(tmp_path: Path) -> None:
    plot = board(tmp_path, sized("a", 10, 1.0), sized("b", 100, 100.0), sized("c", 1000, 10.0), sized("none", 0, 5.0))
    at = {mark.label: (mark.x, mark.y) for mark in plot.marks}
    assert set(at) == {"a", "b", "c"}  # no parameters, no place on a logarithm
    assert at["b"][0] - at["a"][0] == pytest.approx(at["c"][0] - at["b"][0], abs=0.2)
    assert at["a"][1] > at["c"][1] > at["b"][1]  # better is down
    assert [label for _, label in plot.x.ticks if label in ("10", "100", "1 k")] == ["10", "100", "1 k"]


def test_references_and_imported_rows_are_not_on_the_front(tmp_path: Path) -> None:
    plot = board(
        tmp_path,
        *(sized("a", 10, 4.0, seed) for seed in range(3)),
        *(sized("b", 20, 3.0, seed) for seed in range(3)),
        sized("memoriser", 5, 0.1, family="baseline"),
        sized("theirs", 6, 0.2, imported=True),
    )
    at = {mark.label: f"{mark.x:.1f},{mark.y:.1f}" for mark in plot.marks}
    corners = plot.front.split()
    assert corners[0] == at["a"]
    assert corners[-1] == at["b"]
    assert len(corners) == 3


def test_names_do_not_cover_each_other(tmp_path: Path) -> None:
    rows = [sized(f"model_{i}", 100 + i % 4, 10 + i // 4) for i in range(12)]
    plot = board(tmp_path, *rows)
    boxes = []
    for mark in plot.marks:
        if mark.text:
            boxes.append(box_of(mark.label, *mark.text))
    assert len(boxes) == 12  # every one has a place
    assert not any(overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_examples_of_one_budget_are_not_on_a_logarithm(tmp_path: Path) -> None:
    bounds = {"value": 8.0, "n": 10, "k": [1, 10, 100], "nats": [10.0, 9.0, 8.0]}
    row = make_row("vae")
    rows = [row | {"metrics": row["metrics"] | {"iw_bounds": bounds}}]
    (table,) = make_tables(find_runs(write_rows(tmp_path, rows))[0])
    curve = [(0.05, 3.0), (0.5, 2.0), (1.0, 1.5)]
    found = plots.of_table(table, {table.lines[0].runs[0].folder: {"val/bits_per_dim": curve}})
    (training,), (bound,) = found["Training curves"], found["Trade-offs"]
    assert (training.x.log, bound.x.log) == (False, True)
    assert [label for _, label in bound.x.ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    xs = [float(point.split(",")[0]) for point in bound.traces[0].curves[0].split()]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)


def test_likelihoods_of_sound_are_per_sample_and_those_given_a_mel_have_a_plot_of_their_own(tmp_path: Path) -> None:
    sound = {"id": "toy_audio-0", "split": "test", "splits": {"test": 8}, "shape": [1, 2048], "num_levels": 65_536}
    rows = [
        make_row("waveglow", data=sound),
        make_row("waveglow", data=sound, line=make_line("waveglow", data__condition="mel"), run="under-mels"),
    ]
    rows[0]["metrics"]["bits_per_dim"]["title"] = "bits/dim"
    rows[1]["metrics"] = {"mr_stft": {"value": 1.5, "n": 8, "higher_is_better": False}}  # bits/sample are in no column
    (table,) = make_tables(find_runs(write_rows(tmp_path, rows))[0])
    curve = [(0.05, 13.0), (1.0, 11.5)]
    folders = [run.folder for line in table.lines for run in line.runs]
    found = plots.of_table(table, {folder: {"val/bits_per_dim": curve} for folder in folders})["Training curves"]
    titles = [plot.title for plot in found]
    assert titles == ["Validation bits/sample over examples", "Validation bits/sample | mel over examples"]
    assert [len(plot.traces) for plot in found] == [1, 1] and found[0].traces[0].line is not found[1].traces[0].line


def test_pictures_share_the_page(tmp_path: Path) -> None:
    noise = Image.effect_noise((300, 300), 80).convert("RGB")
    noise.save(tmp_path / "noise.png")
    flat = Image.new("L", (40, 20), 7)
    flat.save(tmp_path / "flat.png")
    crowded = Gallery(800).picture(tmp_path / "noise.png")
    assert len(crowded.uri) <= 10_000 + 40
    assert (crowded.width, crowded.height) == (300, 300)  # its place on the page, however few pixels it has
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.new("L", (20_000, 3)).save(tmp_path / "wide.png")
    Image.new("L", (3, 3)).save(tmp_path / "other.png", format="GIF")
    for name in ("none", "broken", "wide", "other"):
        with pytest.raises((DataError, FileNotFoundError), match=name):
            Gallery(1).picture(tmp_path / f"{name}.png")
    data = base64.b64decode(Gallery(2).picture(tmp_path / "flat.png").uri.partition(",")[2])
    assert Image.open(io.BytesIO(data)).getpixel((3, 3)) == (7, 7, 7)  # without loss where there is room


def test_moving_pictures_keep_their_frames(tmp_path: Path) -> None:
    frames = [Image.new("L", (60, 40), 40 * number) for number in range(5)]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=120, loop=0)
    made = Gallery(1).picture(path)
    moving = Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2])))
    assert made.moves and (moving.format, moving.n_frames, moving.info["loop"]) == ("WEBP", 5, 0)
    seen = []
    for number in range(5):
        moving.seek(number)
        seen.append((moving.convert("L").getpixel((3, 3)), moving.info["duration"]))
    assert seen == [(40 * number, 120) for number in range(5)]
    noise = [Image.effect_noise((200, 200), 80) for _ in range(8)]
    noise[0].save(tmp_path / "noise.gif", save_all=True, append_images=noise[1:], duration=120)
    crowded = Gallery(400).picture(tmp_path / "noise.gif")
    assert len(crowded.uri) <= 20_000 + 40 and (crowded.width, crowded.height, crowded.moves) == (200, 200, True)
    long = [Image.new("L", (3, 3), number % 255) for number in range(FRAMES + 1)]
    long[0].save(tmp_path / "long.gif", save_all=True, append_images=long[1:], duration=120)
    with pytest.raises(DataError, match="201 frames or more"):
        Gallery(1).picture(tmp_path / "long.gif")


def test_examples_of_a_budget_in_operations_are_on_a_logarithm(tmp_path: Path) -> None:
    """Small models see ten times as many: linearly, the others would be a stroke at the left edge."""
    rows = [make_row("vae"), make_row("glow", value=2.0), make_row("ebm", value=3.0)]
    for row, seen in zip(rows, (300_000, 30_000, 100_000), strict=True):
        row["cost"] |= {"examples_seen": seen, "train_flops": 2_000_000_000_000 + seen}
    (table,) = make_tables(find_runs(write_rows(tmp_path, rows))[0])
    curve = [(0.05, 3.0), (0.5, 2.0), (1.0, 1.5)]
    found = plots.of_table(table, {line.runs[0].folder: {"val/fd_domain": curve} for line in table.lines})
    assert [plot.x.log for plot in found["Training curves"]] == [True, True]
    titles = [plot.title for plot in found["Quality against cost"]]
    assert "Quality against operations of training" not in titles and "Quality against sampling time" in titles
