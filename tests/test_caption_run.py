"""A run of captions from end to end: trained, stopped and resumed, drawn by text, and evaluated again."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from genarena import api
from genarena.config import compose
from genarena.data.captions.vocabulary import Vocabulary
from genarena.run import run
from genarena.runs.folder import RunFolder
from genarena.scripts import evaluate, sample
from genarena.training.callbacks.budget import Budget
from tests.models.tiny import narrowed
from tests.run_folders import tensors

BATCH, BATCHES = 16, 8


def small(runs_dir: Path, *more: str) -> DictConfig:
    """Eight batches of scenes, each with one of its captions, by a VAE with narrow layers."""
    cfg = compose(
        [
            "model=vae",
            "data=scenes",
            "data.num_scenes=240",
            "data.condition=caption",
            "budget=smoke",
            f"budget.examples={BATCH * BATCHES}",
            "budget.num_val=8",
            f"model.training.batch_size={BATCH}",
            "callbacks.grid_size=1",
            "callbacks.progress=false",
            "metrics=[bits_per_dim]",
            f"runs_dir={runs_dir}",
            "trainer.precision=32-true",
            "logger=none",
            *more,
        ]
    )
    cfg.model = narrowed(OmegaConf.to_container(cfg.model, resolve=True))
    return cfg


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
    row = run(small(runs_dir))
    assert row["status"] == "ok" and row["cost"]["examples_seen"] == BATCH * BATCHES
    return folder_in(runs_dir)


def test_a_run_that_was_stopped_reads_the_captions_that_it_would_have_read(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget_step = Budget.on_train_batch_end

    def killed_after_six(self: Budget, *args: object) -> None:
        budget_step(self, *args)
        if self.examples_seen >= 6 * BATCH:
            raise InterruptedError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Budget, "on_train_batch_end", killed_after_six)
        with pytest.raises(InterruptedError):
            run(small(tmp_path, "metrics=[]"))
    folder = folder_in(tmp_path)
    assert torch.load(folder.last, weights_only=True)["arena"]["batches_seen"] < 6
    assert run(small(tmp_path, "metrics=[]", f"resume={folder.path}"))["status"] == "ok"
    states = [torch.load(each.last, weights_only=True) for each in (whole, folder)]
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        expected, found = (tensors(state.get(part, {})) for state in states)
        assert expected.keys() == found.keys()
        assert not [key for key, value in expected.items() if not torch.equal(value, found[key])], part


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
