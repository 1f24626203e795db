"""`scripts/compress.py` on finished runs: one line of JSON, a file that another process reads, a record in the row."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from genarena.build import build
from genarena.compression.file import Codec
from genarena.config import compose
from genarena.run import run
from genarena.runs import results
from genarena.runs.folder import RunFolder
from tests.compression.tiny import QUIET

ROOT = Path(__file__).parents[2]
SMALL = {
    "pixelcnn": ["hidden_channels=8", "num_blocks=2", "head_channels=16"],
    "vae": ["latent_dim=8", "channels=8", "hidden=32"],
    "uniform": [],
}


@pytest.fixture(scope="module", params=["pixelcnn", "vae"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return finished(request.param, tmp_path_factory.mktemp("run"))


def finished(model: str, tmp_path: Path) -> RunFolder:
    options = [f"model.{option}" for option in SMALL[model]]
    run(
        compose(
            [
                f"model={model}",
                "data=digits",
                "budget=smoke",
                "budget.examples=256",
                "metrics=[bits_per_dim]",
                f"runs_dir={tmp_path}",
                "callbacks.progress=false",
                "callbacks.grid_size=4",
                *options,
            ]
        )
    )
    (path,) = tmp_path.glob(f"digits/{model}/*")
    return RunFolder.open(path)


def compress(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of the script, run in this process, which has torch imported already."""
    monkeypatch.setattr(sys, "argv", ["compress.py", *map(str, arguments)])
    try:
        runpy.run_path(str(ROOT / "scripts" / "compress.py"), run_name="__main__")
    except SystemExit as error:
        return error.code
    return 0


def test_file_numbers_and_row(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    before, out = results.read_row(folder.result), tmp_path / "images.gab"
    assert compress(monkeypatch, f"run={folder.path}", "num_images=360", f"out={out}") == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(printed) == {
        "claimed_bits_per_dim",
        "measured_bits_per_dim",
        "png_bits_per_dim",
        "webp_bits_per_dim",
        "lossless",
    }
    claimed, measured = printed["claimed_bits_per_dim"], printed["measured_bits_per_dim"]
    assert printed["lossless"] is True
    assert measured == 8 * out.stat().st_size / (360 * 64)
    assert measured > 0.99 * claimed
    if before["likelihood"] == "exact":
        assert measured < 1.01 * claimed
    assert printed["png_bits_per_dim"] > 4.0  # 8 x 8 pixels behind a header of its own
    after = results.read_row(folder.result)
    record = after["metrics"].pop("bits_on_disk")
    assert after == before
    assert (record["value"], record["claimed"], record["n"], record["split"]) == (measured, claimed, 360, "test")


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["vae"], indirect=True)
def test_this_process_reads_what_another_one_wrote(folder: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "images.gab"
    command = [
        sys.executable,
        str(ROOT / "scripts" / "compress.py"),
        f"run={folder.path}",
        "num_images=20",
        f"out={out}",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cfg, model = folder.rebuild()
    data = build(cfg["data"], "data")
    data.setup()
    decoded = Codec(model, cfg["model"], data.facts["id"]).decompress(out.read_bytes(), QUIET)
    assert torch.equal(decoded, data.test.x[:20])
    assert results.read_row(folder.result)["metrics"]["bits_on_disk"]["split"] == "test[:20]"


def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    uniform, pixelcnn = finished("uniform", tmp_path), finished("pixelcnn", tmp_path)
    capsys.readouterr()
    out = tmp_path / "images.gab"
    for arguments, words in [
        ([f"run={uniform.path}", f"out={out}"], "Uniform cannot compress"),
        ([f"run={pixelcnn.path}", f"out={out}", "num_images=361"], "the test split of digits has 360"),
        ([f"run={pixelcnn.path}", f"out={out}", "num_images=0"], "at least 1"),
        ([f"run={pixelcnn.path}", "num_images=3"], "out=... is missing"),
        ([f"run={pixelcnn.path}", "num_images=3", f"out={pixelcnn.config}/x"], "cannot be written"),
    ]:
        assert compress(monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert words in error.splitlines()[0]
        assert not out.exists()


def test_without_the_entropy_coder_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert compress(monkeypatch, "run=nowhere", "out=x") == 2
    assert "pip install -e '.[compression]'" in capsys.readouterr().err
