"""A grid shows each image where it belongs; a row is what the schema says."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image, ImageDraw

from genarena.errors import UserError
from genarena.evaluation.pictures import grid, save_frames, save_neighbours, save_pairs, save_samples
from genarena.runs.results import read_row, write_row
from genarena.spec import DataSpec
from tests.leaderboard.rows import make_row


def test_grid_places_and_enlarges() -> None:
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    images[1, 0, 0, 0] = 16
    picture = grid(images, DataSpec((1, 8, 8), 17), columns=2)
    assert picture.shape == (1, 2 * 34 + 2, 2 * 34 + 2)  # 8 pixels enlarged four times, two apart
    assert (picture[0, 2:6, 36:40] == 255).all()
    assert (picture == 255).sum() == 16
    assert (picture[0, :2] == 128).all()


def test_pairs_stand_one_above_the_other(tmp_path: Path) -> None:
    above = torch.arange(1, 11, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 28, 28)
    save_pairs(above, above + 100, DataSpec((1, 28, 28), 256), tmp_path / "pairs.png")
    picture = np.asarray(Image.open(tmp_path / "pairs.png"))
    assert picture.shape == (2 * 30 + 2, 8 * 30 + 2)  # the last two pairs would not fill a row
    assert picture[10, 10::30].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert picture[40, 10::30].tolist() == [101, 102, 103, 104, 105, 106, 107, 108]


def test_pictures_are_png_whatever_the_name(tmp_path: Path) -> None:
    save_samples(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), DataSpec((3, 32, 32), 256), tmp_path / "x.tmp")
    assert Image.open(tmp_path / "x.tmp").size == (70, 70)
    save_samples(torch.randn(50, 2), DataSpec((2,)), tmp_path / "points")
    assert Image.open(tmp_path / "points").format == "PNG"
    with pytest.raises(UserError, match="cannot be drawn"):
        save_samples(torch.randn(5, 7), DataSpec((7,)), tmp_path / "no.png")


def test_a_copy_stands_beside_its_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row: the sample, a gap, then training images, the nearest first, with their distances below."""
    written = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, place, text, **style: written.append(text))
    train = torch.stack([torch.full((1, 28, 28), level, dtype=torch.uint8) for level in range(0, 200, 10)])
    save_neighbours(train[[7, 0]], train, DataSpec((1, 28, 28), 256), tmp_path / "neighbours.png")
    picture = torch.from_numpy(np.array(Image.open(tmp_path / "neighbours.png")))
    assert picture.shape == (2 * (30 + 12), 8 * 30 + 2 + 30 // 4)
    first, second = picture[15], picture[57]
    centres = [15, *(15 + 30 * column + 30 // 4 for column in range(1, 8))]
    assert first[centres][:2].tolist() == [70, 70]
    assert sorted(first[centres][2:].tolist()) == [40, 50, 60, 80, 90, 100]
    assert second[centres].tolist() == [0, 0, 10, 20, 30, 40, 50, 60]
    assert (picture[:30, 32 : 32 + 30 // 4] == 128).all()
    shares = [
        ["0%", *("3.9%", "3.9%", "7.8%", "7.8%", "12%", "12%")],
        ["0%", "3.9%", "7.8%", "12%", "16%", "20%", "24%"],
    ]
    assert [written[:7], written[7:]] == shares  # 10 of 255 levels are 3.9%


def test_a_sample_that_is_not_finite_is_shown_as_a_cross(tmp_path: Path) -> None:
    spec, samples = DataSpec((1, 28, 28), 256), torch.full((4, 1, 28, 28), 100.0)
    samples[2, 0, 5, 7] = float("nan")
    shown = grid(samples, DataSpec((1, 8, 8), 256), columns=2)
    assert (shown[0, 2:30, 2:30] == 100).all()
    cross = shown[0, 32:60, 2:30]
    assert set(cross.unique().tolist()) == {0, 255}
    assert torch.equal(cross, cross.flip(0))
    assert (cross.diag() == 255).all()
    train = torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1).expand(20, 1, 28, 28)
    save_neighbours(samples, train, spec, tmp_path / "neighbours.png")
    rows = torch.from_numpy(np.array(Image.open(tmp_path / "neighbours.png"))).split(30 + 12)
    assert [bool((row[-12:] < 255).any()) for row in rows] == [
        True,
        True,
        False,
        True,
    ]  # no distance of what is not finite
    rows = [row[2:30] for row in rows]
    assert [255 in row for row in rows] == [False, False, True, False]
    assert [19 in row for row in rows] == [True, True, False, True]


def test_a_scatter_plot_says_how_many_points_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda self, text: titles.append(text))
    points = torch.zeros(5, 2)
    save_samples(points, DataSpec((2,)), tmp_path / "sound.png")
    points[1:3, 0] = torch.tensor([float("nan"), float("inf")])
    save_samples(points, DataSpec((2,)), tmp_path / "broken.png")
    assert titles == ["2 of 5 samples are not finite"]


def test_rows_survive_the_disk(tmp_path: Path) -> None:
    row = make_row(value=None)
    write_row(row, tmp_path / "result.json")
    assert read_row(tmp_path / "result.json") == row


@pytest.mark.parametrize(
    "change",
    [
        {"status": "fine"},
        {"seed": -1},
        {"metrics": {"fid": 3.0}},
        {"metrics": {"fid": {"value": None}}},
        {"metrics": {"fid": {"value": 3.0}}},
        {"schema_version": 2},
        {"likelihood": "bound"},
    ],
    ids=str,
)
def test_a_broken_row_is_refused_and_leaves_the_old_one(change: dict, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_row(make_row(), path)
    with pytest.raises(ValueError):
        write_row(make_row() | change, path)
    assert read_row(path) == make_row()


def test_a_nan_never_becomes_json(tmp_path: Path) -> None:
    row = copy.deepcopy(make_row())
    row["metrics"]["fd_domain"]["value"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_row(row, tmp_path / "result.json")
    assert not list(tmp_path.iterdir())
    (tmp_path / "other.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(UserError, match=r"other\.json is not a row"):
        read_row(tmp_path / "other.json")


def test_moving_pictures_have_a_grid_per_frame(tmp_path: Path) -> None:
    frames = torch.arange(6, dtype=torch.uint8).view(3, 2, 1, 1, 1).expand(3, 2, 1, 28, 28) * 40
    save_frames(frames, DataSpec((1, 28, 28), 256), tmp_path / "x.tmp", columns=2)
    moving = Image.open(tmp_path / "x.tmp")
    assert moving.format == "GIF" and moving.n_frames == 3 and moving.info["loop"] == 0
    for number in range(3):
        moving.seek(number)
        picture = np.asarray(moving.convert("L"))
        assert picture.shape == (32, 62) and picture[10, 10::30].tolist() == [80 * number, 80 * number + 40]
