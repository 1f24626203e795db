"""`scripts/restore.py` on pictures of one's own, with the Gaussian of digits."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from genarena import config
from genarena.config import compose
from genarena.data.reading.decoding import Recipe
from genarena.run import run
from genarena.runs.folder import RunFolder
from genarena.tasks.restoring.own_picture import missing
from tests.run_folders import only_run

QUIET = ["budget=smoke", "metrics=[]", "callbacks.progress=false", "callbacks.grid_size=1", "logger=none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the Gaussian, of uniform noise and of a small ddpm; pictures, one of 8 x 8 with a mask of its half."""
    folder = tmp_path_factory.mktemp("own")
    for model in ("gaussian", "uniform", "ddpm"):
        tiny = ["net.hidden_channels=8", "sampler.nfe=2"] if model == "ddpm" else []
        run(compose([f"model={model}", "data=digits", *tiny, *QUIET, f"runs_dir={folder / 'runs'}"]))
    digit = (load_digits().images[0] / 16 * 255).round().astype(np.uint8)
    Image.fromarray(digit).save(folder / "digit.png")
    mask = np.zeros((8, 8), np.uint8)
    mask[4:] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "black.png")
    Image.fromarray(digit).resize((4, 4), Image.Resampling.BOX).save(folder / "small.png")
    Image.fromarray(digit).resize((30, 24), Image.Resampling.NEAREST).convert("RGB").save(folder / "large.png")
    Image.merge("LA", [Image.fromarray(digit), Image.fromarray(mask)]).save(folder / "alpha.png")
    Image.fromarray(np.where(mask > 0, 0, digit).astype(np.uint8)).save(folder / "broken.png")
    turned = Image.fromarray(digit).transpose(Image.Transpose.ROTATE_90)  # orientation 6 turns it back
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.png", exif=exif)
    (folder / "text.png").write_text("no picture")
    return folder


def program(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str, model: str = "gaussian") -> None:
    places = ("picture", "mask", "out")
    given = [
        f"{key}={folder / value}" if key in places else text
        for text in arguments
        for key, _, value in [text.partition("=")]
    ]
    monkeypatch.setattr(sys, "argv", ["restore.py", f"run={only_run(folder / 'runs', model)}", *given])
    runpy.run_path(str(config.SOURCE / "scripts" / "restore.py"), run_name="__main__")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_a_mask_is_filled_in_and_the_rest_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    program(monkeypatch, folder, "picture=broken.png", "mask=mask.png", "out=a.png", "num_draws=3")
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("mask, sigma 0.05, 32 of 64 pixels missing: closed_form (exact), 3 draws in ")
    assert told[0] == f"restored: {folder / 'a.png'}" and len(told) == 6
    truth, found = pixels(folder / "digit.png"), pixels(folder / "a.png")
    assert np.array_equal(found[:4], truth[:4])
    draws = [pixels(folder / f"a-draw{k}.png") for k in (1, 2, 3)]
    assert np.array_equal(found, draws[0]) and not np.array_equal(draws[1][4:], draws[2][4:])
    filled = np.abs(np.mean(draws, 0) - truth)[4:].mean()
    assert filled < 0.6 * np.abs(pixels(folder / "broken.png") - truth)[4:].mean()
    std = pixels(folder / "a-std.png")
    assert std.max() == 255 and (std[:4] == 0).all()
    program(monkeypatch, folder, "picture=broken.png", "mask=mask.png", "out=b.png", "num_draws=3", "result=mean")
    assert np.abs(pixels(folder / "b.png") - np.mean(draws, 0)).max() <= 60  # draws are clamped one by one
    assert not np.array_equal(pixels(folder / "b.png"), found)
    program(monkeypatch, folder, "picture=broken.png", "mask=mask.png", "out=c.png", "sigma=0.2")
    assert not np.array_equal(pixels(folder / "c.png")[:4], truth[:4])
    assert not (folder / "c-std.png").exists()


def test_a_small_picture_becomes_larger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, folder, "picture=small.png", "degradation=sr2", "out=d.png", "num_draws=8", "result=mean")
    truth, found = pixels(folder / "digit.png"), pixels(folder / "d.png")
    coarse = pixels(folder / "small.png").repeat(2, 0).repeat(2, 1)
    assert found.shape == (8, 8) and np.abs(found - truth).mean() < 0.8 * np.abs(coarse - truth).mean()


def test_another_size_is_fitted_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    program(monkeypatch, folder, "picture=large.png", "degradation=denoise", "sigma=0.05", "out=e.png")
    said = "the picture was cut from 30 x 24 to its centred 24 x 24, resized to 8 x 8 (bicubic), turned to grey"
    assert capsys.readouterr().out.splitlines()[0] == said
    assert pixels(folder / "e.png").shape == (8, 8)
    program(monkeypatch, folder, "picture=turned.png", "degradation=denoise", "sigma=0.02", "out=f.png")
    assert np.abs(pixels(folder / "f.png") - pixels(folder / "digit.png")).max() < 40  # upright
    program(
        monkeypatch, folder, "picture=alpha.png", "degradation=denoise", "sigma=0.02", "background=black", "out=g.png"
    )


def test_what_a_missing_pixel_had_a_part_in_is_missing() -> None:
    white = np.zeros((32, 32), np.uint8)
    white[16:, :] = 255
    recipe = Recipe((1, 8, 8))
    found = missing(Image.fromarray(white), recipe)[0, 0]
    reached = set()
    for row in range(16):  # another value of a known row changes known pixels only; of a missing one, missing ones only
        picture = np.zeros((32, 32), np.uint8)
        picture[16 + row] = 255
        changed = torch.from_numpy(recipe.fit(Image.fromarray(picture))[..., 0] != 0)
        reached |= set(changed.any(1).nonzero().flatten().tolist())
    assert set(range(4, 8)) <= reached <= set(found.all(1).nonzero().flatten().tolist())
    assert not found[:2].any()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("picture=alpha.png degradation=denoise sigma=0.1 out=z.png", "cannot be read as a picture: has transparent"),
        ("picture=text.png degradation=denoise sigma=0.1 out=z.png", "cannot be read as a picture: none of PNG"),
        ("picture=none.png degradation=denoise sigma=0.1 out=z.png", "none.png: cannot be read as a picture: "),
        ("picture=digit.png degradation=denoise out=z.png", "degradation=denoise: needs sigma="),
        ("picture=digit.png degradation=denoise sigma=1.2 out=z.png", "sigma=1.2: expected 0 to 1"),
        ("picture=digit.png mask=small.png out=z.png", "small.png: has 4 x 4 pixels, and the picture has 8 x 8"),
        ("picture=digit.png mask=black.png out=z.png", "black.png: nothing is missing: no pixel is white"),
        (
            "picture=digit.png mask=alpha.png out=z.png",
            "has transparent pixels: expected white where pixels are missing",
        ),
        ("picture=digit.png out=z.png", "expected one of mask=<file> and degradation=<name>"),
        ("picture=digit.png mask=mask.png degradation=sr2 out=z.png", "expected one of mask=<file> and degradation="),
        (
            "picture=digit.png degradation=sr3 out=z.png",
            "degradation=sr3: there is no such degradation; did you mean sr",
        ),
        ("picture=digit.png degradation=blur_gaussian out=z.png", "degradation=blur_gaussian: a kernel of 9 x 9"),
        (
            "picture=digit.png degradation=inpaint_random out=z.png",
            "the missing pixels of a picture are those of mask=",
        ),
        ("picture=digit.png mask=mask.png out=z.jpg", "expected a name that ends in .png"),
        ("picture=digit.png mask=mask.png out=z.png label=3", "label=3: the model has no labels"),
        ("picture=digit.png mask=mask.png out=z.png num_draws=0", "num_draws=0: expected at least 1"),
        ("picture=digit.png mask=mask.png out=digit.png", "would be written over picture="),
        ("picture=a-draw2.png mask=mask.png out=a.png num_draws=2", "would be written over picture="),
        ("picture=digit.png mask=mask.png out=z.png algorithm=mmp", "there is no such algorithm; did you mean mmps?"),
        ("picture=digit.png mask=mask.png out=z.png algorithm.zeta=1", "name the algorithm too, algorithm=<name>"),
        ("picture=digit.png mask=mask.png out=z.png algoritm=mmps", "algoritm=mmps: expected one of "),
        (
            "picture=digit.png mask=mask.png out=z.png algorithm=sdedit",
            "algorithm=sdedit: does not solve this task; av",
        ),
        (
            "picture=digit.png mask=mask.png out=z.png algorithm=mmps",
            "Gaussian cannot do this task, which needs a model",
        ),
        (
            "picture=digit.png mask=mask.png out=z.png algorithm=dps algorithm.zta=1",
            "algorithm.zta: there is no such option; did you mean zeta?",
        ),
        (
            "picture=digit.png mask=mask.png out=z.png algorithm=dps algorithm.zeta=-1",
            "algorithm.zeta=-1: expected a positive number",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(
    given: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    refused(given, said, folder, monkeypatch, capsys)


def refused(
    given: str,
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    model: str = "gaussian",
) -> None:
    """One line, exit code 2, no file, and no model is loaded."""
    monkeypatch.setattr(RunFolder, "rebuild", lambda self, device: pytest.fail("a model is loaded"))
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        program(monkeypatch, folder, *given.split(), model=model)
    told = capsys.readouterr().err
    assert ended.value.code == 2 and len(told.splitlines()) == 1 and said in told, told
    assert sorted(folder.rglob("*")) == before


def test_what_the_model_cannot_do_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    given = "picture=digit.png mask=mask.png out=z.png"
    refused(given, "Uniform cannot do this task, which needs a model that ", folder, monkeypatch, capsys, "uniform")
    blurred = "picture=small.png degradation=sr2 out=z.png algorithm="
    for name, said in (("repaint", "sr2: needs a mask"), ("one_step", "sr2: removes noise only")):
        refused(blurred + name, f"algorithm={name}: {said}", folder, monkeypatch, capsys, "ddpm")
    (folder / "unfinished").mkdir(exist_ok=True)
    config_file = only_run(folder / "runs", "gaussian") / "config.yaml"
    (folder / "unfinished" / "config.yaml").write_bytes(config_file.read_bytes())
    for name, reason in (("unfinished", "the run is not finished"), ("none", "there is no run (no config.yaml)")):
        refused(f"{given} run={folder / name}", reason, folder, monkeypatch, capsys)


def test_an_algorithm_gets_the_strength_that_is_best_on_validation_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    given = ["picture=broken.png", "mask=mask.png", "out=h.png", "algorithm=diffpir", "algorithm.num_steps=2"]
    program(monkeypatch, folder, *given, model="ddpm")
    told = capsys.readouterr().out.splitlines()
    said = "mask, sigma 0.05, 32 of 64 pixels missing: diffpir (heuristic, weight "
    assert told[-1].startswith(said) and (folder / "h.png").exists()
    program(monkeypatch, folder, *given, "algorithm.weight=7", model="ddpm")
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{said}7), 1 draw in ")


def test_nothing_is_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Every file is looked at before the first is written, and before the model is loaded."""
    (folder / "half-draw2.png").mkdir()
    monkeypatch.setattr(RunFolder, "rebuild", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(SystemExit) as ended:
        program(monkeypatch, folder, "picture=digit.png", "mask=mask.png", "out=half.png", "num_draws=2")
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line == f"error: {folder / 'half-draw2.png'} cannot be written: it is a folder"
    assert [path.name for path in folder.glob("half*")] == ["half-draw2.png"]
