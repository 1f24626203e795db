"""Images made elsewhere: the same images get the numbers that the model's own evaluation got, and bad input is one line."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genarena.config import compose
from genarena.data.reading.samples import image_spec, read_images
from genarena.errors import DataError, UserError
from genarena.evaluation import features
from genarena.evaluation.backbones import BACKBONES
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from genarena.metrics import names
from genarena.published.imported import ImportedSamples, about_images, check_askable, chosen, identity, number_of_images
from genarena.run import run
from genarena.runs import results
from genarena.spec import DataSpec
from tests import doors
from tests.pixels import Pixels

ROOT = Path(__file__).parents[2]
METRICS = ["fd_domain", "recall", "nearest_neighbour_ratio"]
DIGITS = DataSpec((1, 8, 8), 17)


def script(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of scripts/score.py in this process."""
    monkeypatch.setattr(sys, "argv", ["score.py", *arguments])
    try:
        runpy.run_path(str(ROOT / "scripts" / "score.py"), run_name="__main__")
    except SystemExit as stopped:
        return stopped.code
    return 0


def save_pictures(levels: torch.Tensor, folder: Path, num_levels: int) -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(levels):
        values = (image.float() * (255.0 / (num_levels - 1))).round().to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(values.squeeze(-1) if values.shape[2] == 1 else values).save(folder / f"{index:04d}.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path, torch.Tensor]:
    """A run of a baseline on the digits, its folder of runs, and the samples that were scored."""
    folder = tmp_path_factory.mktemp("score")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENARENA_CACHE", str(tmp_path_factory.getbasetemp() / "score-cache"))
        patch.setitem(features.RECIPE, "examples", 6000)
        row = run(
            compose(
                [
                    "model=gaussian",
                    "data=digits",
                    "budget=smoke",
                    f"metrics=[{','.join(METRICS)}]",
                    f"runs_dir={folder}/runs",
                    "callbacks.progress=false",
                ]
            )
        )
    (path,) = folder.glob("runs/digits/gaussian/*")
    assert doors.script("sample.py", f"run={path}", f"out={folder}/samples.npz").returncode == 0
    samples = torch.from_numpy(np.load(folder / "samples.npz")["samples"])
    save_pictures(samples, folder / "pictures", 17)
    return row, folder, samples


@pytest.fixture(autouse=True)
def one_classifier(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path_factory.getbasetemp() / "score-cache"))
    monkeypatch.setitem(features.RECIPE, "examples", 6000)


def untimed(records: dict) -> dict:
    return {name: {key: fact for key, fact in record.items() if key != "seconds"} for name, record in records.items()}


@pytest.mark.parametrize("samples", ["samples.npz", "pictures"])
def test_the_same_images_get_the_same_numbers(finished: tuple, samples: str, tmp_path: Path, monkeypatch) -> None:
    row, folder, _ = finished
    code = script(
        monkeypatch,
        f"samples={folder / samples}",
        "data=digits",
        "name=elsewhere",
        "budget=smoke",
        f"metrics=[{','.join(METRICS)}]",
        f"out={tmp_path}/scores.json",
    )
    assert code == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert untimed(scores) == untimed(row["metrics"])
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_which_images_are_scored_does_not_depend_on_their_order(finished: tuple) -> None:
    """Sorted by class, the first half is of other classes than the whole; chosen by content it is a sample of it."""
    images = torch.arange(200, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    half, reversed_half = chosen(images, 100), chosen(images.flip(0), 100)
    assert torch.equal(half, reversed_half)
    assert 35 < (half[:, 0, 0, 0] < 100).sum() < 65  # 50 expected, 5 the standard deviation
    assert torch.equal(chosen(images, 200)[:100], half)
    facts = identity(images, 100)
    assert facts == identity(images.flip(0), 100) == facts | {"given": 200, "scored": 100}
    changed = images.clone()
    changed[int(half[3, 0, 0, 0]), 0, 7, 7] ^= 1
    digests = {facts["sha256"], identity(changed, 200)["sha256"], identity(images, 200)["sha256"]}
    assert len(digests) == 3
    with pytest.raises(UserError, match="there are 200 images, and the protocol takes 201"):
        chosen(images, 201)


def test_an_imported_row_stands_on_the_table_of_its_protocol(finished: tuple, tmp_path: Path, monkeypatch) -> None:
    _, folder, _ = finished
    runs = tmp_path / "runs"
    run(compose(["model=uniform", "data=digits", "budget=smoke", f"runs_dir={runs}", "callbacks.progress=false"]))
    given = (f"samples={folder}/samples.npz", "data=digits", "name=elsewhere", "budget=smoke", f"runs_dir={runs}")
    assert script(monkeypatch, *given) == 0
    (path,) = runs.glob("digits/elsewhere/*-seed0/result.json")
    row = results.read_row(path)
    assert (row["imported"], row["status"], row["family"]) == (True, "ok", "imported")
    assert row["cost"]["parameters"] is None
    assert row["images"] == identity(read_images(folder / "pictures", DIGITS), 64)
    assert "made elsewhere" in row["metrics"]["bits_per_dim"]["reason"]
    assert row["metrics"]["sampling_seconds"]["value"] is None
    assert row["metrics"]["nearest_neighbour_ratio"]["value"] > 0
    assert (path.parent / "samples" / "final.png").is_file()
    found, broken = find_runs(runs)
    (table,) = make_tables(found)  # one data id, and metrics under the same protocols
    assert not broken
    assert {line.model: line.family for line in table.lines} == {"uniform": "baseline", "elsewhere": "imported"}
    assert all(line.cells["nearest_neighbour_ratio"].value for line in table.lines)  # in one column


@pytest.mark.parametrize("metric", ["nearest_neighbour_ratio", "authpct", "c_t"])
def test_a_reference_is_no_training_set(metric: str) -> None:
    with pytest.raises(UserError, match="needs the training set"):
        check_askable([metric], has_training_set=False)


def test_against_a_reference(tmp_path: Path, monkeypatch) -> None:
    """KID on stand-in features: of the same images, in another order and as pictures, and of others."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (60, 3, 6, 5), generator=generator, dtype=torch.uint8)
    save_pictures(images.flip(0), tmp_path / "real", 256)
    np.savez(tmp_path / "same.npz", images.permute(0, 2, 3, 1).numpy())
    np.savez(tmp_path / "dark.npz", samples=(images // 4).numpy())
    monkeypatch.setitem(BACKBONES, "inception", Pixels)
    values = {}
    for name in ("same", "dark"):
        code = script(
            monkeypatch,
            f"samples={tmp_path / name}.npz",
            f"reference={tmp_path}/real",
            f"name={name}",
            "metrics=[kid]",
            f"out={tmp_path / name}.json",
        )
        assert code == 0
        record = json.loads((tmp_path / f"{name}.json").read_text())["kid"]
        assert (record["n"], record["n_real"]) == (60, 60)
        values[name] = record["value"]
    x = images.flatten(1).double() / 255.0
    kernel = ((x @ x.T) / x.shape[1] + 1.0) ** 3
    off_diagonal = (kernel.sum() - kernel.diag().sum()) / (60 * 59)
    assert values["same"] == pytest.approx((2.0 * off_diagonal - 2.0 * kernel.mean()).item(), rel=1e-4)
    assert values["dark"] > 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reference=x"], "one of data"),
        ([], "one of data"),
        (["data=digits", "metrics=[fidd]"], "did you mean fid"),
        (["data=digits", "metrics=[bits_per_dim]"], "asks for log_prob"),
        (["data=digits"], "metrics=[...] is missing"),
        (["data=digits", "metrics=[fid]", "name=vae"], "is a model of genarena"),
        (["data=dogs", "metrics=[fid]"], "no such data"),
        (["data=digits", "metrics=[fid]", "name=../up"], "name=../up"),
        (["data=toy2d", "metrics=[recall]"], "takes images"),
        (["data=digits", "metrics=[fid]", "samples=nowhere"], "there is no such folder or file"),
        (["data=digits", "metrics=[fid]", "runs_dir=r"], "a row needs data"),
        (["data=digits", "data.rot=x", "metrics=[]"], "data.rot"),
        (["data=mnist", "metrics=[recall]", "data.root=."], "mnist is not in"),
        (["data=digits", "budget=cpu_1min"], "there are 64 images, and the protocol takes 1,000"),
    ],
)
def test_refused_in_one_line(
    finished: tuple, arguments: list[str], words: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    if "mnist is not in" in words:
        monkeypatch.setattr("torchvision.datasets.MNIST", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    if words == "one of data" and arguments:
        arguments = [*arguments, "data=digits"]
    base = {
        "samples": f"samples={finished[1]}/samples.npz",
        "name": "name=elsewhere",
        "out": f"out={tmp_path}/out.json",
    }
    given = base | {argument.partition("=")[0]: argument for argument in arguments}
    monkeypatch.chdir(tmp_path)
    assert script(monkeypatch, *given.values()) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert words in errors
    assert list(tmp_path.iterdir()) == []


def picture(path: Path, mode: str, size: tuple[int, int], colour: object = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda d: [picture(d / "a.png", "L", (8, 8)), picture(d / "b.png", "L", (9, 8))],
            "b.png: is 9x8 pixels, the data 8x8",
        ),
        (lambda d: picture(d / "a.png", "L", (28, 28)), "a.png: is 28x28 pixels, the data 8x8"),
        (lambda d: picture(d / "a.png", "RGB", (8, 8), (0, 0, 255)), "a.png: is in colour"),
        (lambda d: picture(d / "a.png", "RGBA", (8, 8), (0, 0, 0, 9)), "a.png: has the value 246"),  # on white
        (lambda d: picture(d / "a.png", "I;16", (8, 8)), "I;16 pixels"),
        (lambda d: picture(d / "a.jpg", "L", (8, 8)), "a.jpg: samples in a format that may change pixels"),
        (lambda d: picture(d / "a.png", "L", (8, 8), 37), "a.png: has the value 37, which is none of the 17 levels"),
        (lambda d: (d / "x").mkdir(parents=True), "no pictures"),
        (
            lambda d: [picture(d / "a.png", "L", (8, 8)), (d / "b.png").write_bytes((d / "a.png").read_bytes()[:40])],
            "b.png: none of PNG",
        ),
    ],
)
def test_broken_folders_are_named(make, words: str, tmp_path: Path) -> None:
    make(tmp_path / "in")
    with pytest.raises(DataError) as refused:
        read_images(tmp_path / "in", DIGITS)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_decoder_of_samples_is_that_of_sets(tmp_path: Path) -> None:
    """Turned by EXIF, transparent on white, CMYK, hidden files passed over, formats by content."""
    folder = tmp_path / "in"
    stored = torch.randint(256, (8, 8, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).numpy()
    exif = Image.Exif()
    exif[0x0112] = 3
    folder.mkdir()
    Image.fromarray(stored[::-1, ::-1].copy()).save(folder / "a.png", exif=exif)
    Image.fromarray(stored).save(folder / "b.jpg", "PNG")
    Image.new("RGBA", (8, 8), (0, 255, 0, 0)).save(folder / "c.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(folder / "d.tif")
    picture(folder / ".ipynb_checkpoints" / "a-checkpoint.png", "RGB", (8, 8))
    found = read_images(folder, DataSpec((3, 8, 8), 256)).permute(0, 2, 3, 1)
    assert np.array_equal(found[0], stored) and np.array_equal(found[1], stored)
    assert (found[2] == 255).all() and found[3, 0, 0].tolist() == [255, 0, 0]
    with pytest.raises(DataError, match=r"c\.png: has transparent pixels"):
        read_images(folder, DataSpec((3, 8, 8), 256), background="refuse")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_lossy_bytes_under_a_lossless_name_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    if name == "a.tif":
        Image.new("RGB", (8, 8)).save(tmp_path / "in" / name, "TIFF", compression="jpeg")
    else:
        Image.new("RGB", (8, 8)).save(tmp_path / "in" / name, "JPEG")
    with pytest.raises(DataError, match=rf"{name}: samples in a format that may change pixels"):
        read_images(tmp_path / "in", DataSpec((3, 8, 8), 256))
    assert read_images(tmp_path / "in", DataSpec((3, 8, 8), 256), lossless=False).shape == (1, 3, 8, 8)


def test_a_device_among_samples_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png", "L", (8, 8))
    (tmp_path / "in" / "b.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"b\.png: it is no regular file"):
        read_images(tmp_path / "in", DIGITS)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"samples": np.zeros((3, 1, 8, 8))}, "float64"),
        ({"samples": np.zeros((3, 1, 8, 9), np.uint8)}, "(1, 8, 9)"),
        ({"samples": np.full((3, 1, 8, 8), 17, np.uint8)}, "level 17, and the data has levels 0 to 16"),
        ({"a": np.zeros(1), "b": np.zeros(1)}, "holds a, b"),
        ({"samples": np.zeros((0, 1, 8, 8), np.uint8)}, "(0, 1, 8, 8)"),
        ({"samples": np.array([{}])}, "cannot be read"),
        (b"PK\x03\x04 no archive", "cannot be read"),
        (b"", "cannot be read"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", "cannot be read"),
    ],
)
def test_broken_arrays_are_named(arrays, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(arrays) if isinstance(arrays, bytes) else np.savez(path, **arrays)
    with pytest.raises(DataError) as refused:
        read_images(path, DIGITS)
    assert words in str(refused.value)
    assert str(refused.value).startswith(str(path))


def test_layouts_and_modes_give_the_same_levels(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(17, (5, 1, 8, 8), generator=generator, dtype=torch.uint8)
    save_pictures(levels, tmp_path / "grey", 17)
    for path in sorted((tmp_path / "grey").iterdir()):
        (tmp_path / "rgb").mkdir(exist_ok=True)
        Image.open(path).convert("RGB").save(tmp_path / "rgb" / path.name)
    for array, name in (
        (levels.numpy(), "nchw"),
        (levels.permute(0, 2, 3, 1).numpy(), "nhwc"),
        (levels[:, 0].numpy(), "nhw"),
    ):
        np.savez(tmp_path / f"{name}.npz", array)
    for name in ("grey", "rgb", "nchw.npz", "nhwc.npz", "nhw.npz"):
        assert torch.equal(read_images(tmp_path / name, DIGITS), levels), name
    free = read_images(tmp_path / "rgb")
    assert image_spec(free) == DataSpec((3, 8, 8), 256)
    assert free.max() == 255


def test_every_metric_is_about_images_or_about_a_model() -> None:
    assert {name for name in names() if not about_images(name)} >= {
        "bits_per_dim",
        "nll_nats",
        "iw_nll_nats",
        "sampling_seconds",
    }
    assert {name for name in names() if about_images(name)} >= {
        "fid",
        "kid",
        "recall",
        "class_histogram_kl",
        "fd_domain",
    }


def test_fewer_images_are_the_first_of_more_and_none_comes_twice() -> None:
    """A metric that takes more than the others needs as many."""
    model = ImportedSamples(torch.arange(5).view(5, 1, 1, 1).to(torch.uint8), DataSpec((1, 1, 1), 256))
    assert model.sample(5).flatten().tolist() == [0, 1, 2, 3, 4]
    assert model.sample(2).flatten().tolist() == [0, 1]
    with pytest.raises(ValueError, match="6 images were asked for, there are 5"):
        model.sample(6)
    with pytest.raises(TypeError):
        model.log_prob(model.images)
    options = {"evidence.samples.num_samples": 5, "metric.kid.num_samples": 7, "metric.sampling_seconds.num_samples": 9}
    assert number_of_images(["recall", "kid", "sampling_seconds", "nll_nats"], options) == 7
    assert number_of_images(["nll_nats"], options) == 0


def test_reading_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(UserError, match=r"folder of pictures or an .npz file"):
        read_images(tmp_path / "x.txt")
