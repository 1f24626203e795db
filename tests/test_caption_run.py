"""A run of captions from end to end: trained, stopped and resumed, drawn by text, and evaluated again."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from genarena import api
from genarena.data.captions.vocabulary import Vocabulary
from genarena.run import run
from genarena.runs.folder import RunFolder
from genarena.scripts import evaluate, sample
from tests.small_run import BATCH, BATCHES, kill_after_six, require_same, small

SCENES = ("data.num_scenes=240", "data.condition=caption")


def captioned(runs_dir: Path, *more: str) -> DictConfig:
    """Eight batches of scenes, each with one of its captions, by a VAE."""
    return small("vae", "scenes", runs_dir, *SCENES, *more)


def folder_in(runs_dir: Path) -> RunFolder:
    (path,) = runs_dir.glob("scenes/vae/*")
    return RunFolder.open(path)


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    """What a run costs is measured longer than its eight batches take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genarena.run.cost.measure", lambda *_: {})
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    runs_dir = tmp_path_factory.mktemp("whole")
    row = run(captioned(runs_dir, "metrics=[bits_per_dim]"))
    assert row["status"] == "ok" and row["cost"]["examples_seen"] == BATCH * BATCHES
    return folder_in(runs_dir)


def test_a_run_that_was_stopped_reads_the_captions_that_it_would_have_read(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_after_six(patch)
        with pytest.raises(InterruptedError):
            run(captioned(tmp_path))
    folder = folder_in(tmp_path)
    assert torch.load(folder.last, weights_only=True)["arena"]["batches_seen"] < 6
    assert run(captioned(tmp_path, f"resume={folder.path}"))["status"] == "ok"
    require_same(*(torch.load(each.last, weights_only=True) for each in (whole, folder)))


def test_pictures_are_drawn_by_text(whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "rows.png"
    line = [f"run={whole.path}", "text=a red circle; two blue squares", "num_samples=4", f"out={out}"]
    monkeypatch.setattr(sys, "argv", ["sample.py", *line])
    sample.main()
    assert Image.open(out).size[1] == 2 * (34 + 13) + 2, "a row per text, with its words above"
    model = api.load(whole.path)
    words = Vocabulary.of_condition(model.spec.condition)
    red, blue = (words.encode(text).expand(3, -1) for text in ("a red circle", "two blue squares"))
    drawn = [api.sample(model, 3, y, seed=1) for y in (red, red, blue)]
    assert drawn[0].shape == (3, 3, 32, 32) and torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_an_evaluation_again_has_the_numbers_of_the_row(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", f"run={whole.path}", f"out={tmp_path}/again.json"])
    evaluate.main()
    first, again = (
        json.loads(path.read_text())["metrics"]["bits_per_dim"] | {"seconds": None}
        for path in (whole.result, tmp_path / "again.json")
    )
    assert again == first and first["given"] == "caption"
