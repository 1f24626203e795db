"""Configuration, row and checkpoint agree about budget and data, whatever a run is resumed with."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from genarena.build import build
from genarena.cli import expand_resume
from genarena.config import compose
from genarena.errors import Untrusted, UserError
from genarena.run import run
from genarena.runs import checkpoint, results, same_data, stored_config
from genarena.runs.folder import RunFolder
from genarena.runs.past import EXACTLY, find_run
from genarena.training.callbacks.budget import Budget

BATCH = 32


def command(runs_dir: Path, *more: str) -> list[str]:
    return [
        "model=made",
        "data=digits",
        "budget=smoke",
        f"budget.examples={4 * BATCH}",
        "budget.num_val=16",
        "model.hidden=[8]",
        f"model.training.batch_size={BATCH}",
        "metrics=[nll_nats]",
        "callbacks.grid_size=1",
        "callbacks.progress=false",
        "logger=none",
        f"runs_dir={runs_dir}",
        *more,
    ]


def resumed(folder: RunFolder, *more: str) -> dict:
    """What `python train.py resume=<folder> ...` does."""
    return run(compose(expand_resume([f"resume={folder.path}", *more])))


def found(line: list[str]) -> Path | None:
    """What `-m` would go on with."""
    same_data._stamp.cache_clear()
    same_data._data_id.cache_clear()
    return find_run(OmegaConf.to_container(compose(line), resolve=True), EXACTLY)


def files(folder: RunFolder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file() and path.suffix != ".lock"}


def agreed(folder: RunFolder) -> int:
    """The budget, in examples, that configuration, row and newest checkpoint name."""
    stored, row = stored_config.load(folder.config), results.read_row(folder.result)
    callbacks = checkpoint.load(folder.last)["callbacks"]
    assert stored["budget"]["examples"] == row["budget"]["examples"] == callbacks["Limits"]["examples"]
    assert (stored["extended"] or []) == row["budget"].get("extended", []) == callbacks["Limits"]["extended"]
    assert row["cost"]["examples_seen"] == callbacks["Budget"]["examples_seen"] == row["budget"]["examples"]
    assert stored["data_id"] == row["data"]["id"]
    return row["budget"]["examples"]


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    run(compose(command(tmp_path)))
    (path,) = tmp_path.glob("digits/made/*")
    return RunFolder.open(path)


def test_an_extended_run_says_so_and_is_no_longer_that_of_its_first_line(finished: RunFolder, tmp_path: Path) -> None:
    assert agreed(finished) == 128
    assert found(command(tmp_path)) == finished.path
    row = resumed(finished, "budget.examples=256")
    assert agreed(finished) == 256
    assert row["budget"]["extended"] == [{"minutes": None, "examples": 128, "flops": None, "examples_seen": 128}]
    assert row["overrides"][-1] == "extended at 128 examples"  # a line of its own on the leaderboard
    assert found(command(tmp_path)) is None
    assert found(command(tmp_path, "budget.examples=256")) is None  # its learning rate went another way
    again = resumed(finished)
    assert agreed(finished) == 256
    assert again["metrics"]["nll_nats"]["value"] == row["metrics"]["nll_nats"]["value"]
    third = resumed(finished, "budget.examples=288")
    assert [former["examples_seen"] for former in third["budget"]["extended"]] == [128, 256]


@pytest.mark.parametrize("given", ["budget.examples=96", "budget.minutes=0.00001", "budget.flops=1e4"])
def test_a_budget_smaller_than_what_was_seen_is_refused(finished: RunFolder, given: str) -> None:
    before = files(finished)
    with pytest.raises(UserError, match=r"budget\.\w+=.* is less than the .* that the run has seen"):
        resumed(finished, given)
    assert files(finished) == before


def test_a_budget_in_operations_is_one_budget_in_row_configuration_and_checkpoint(tmp_path: Path) -> None:
    line = [*command(tmp_path), "budget.examples=null", "budget.flops=3e6"]
    row = run(compose(line))
    seen, used = row["cost"]["examples_seen"], row["cost"]["train_flops"]
    assert seen % BATCH == 0 and 3e6 <= used < 3e6 + used / seen * BATCH
    folder = RunFolder.open(found(line))
    with pytest.raises(UserError, match=r"budget.flops=10000 is less than the .* flops that the run has seen"):
        resumed(folder, "budget.flops=1e4")
    longer = resumed(folder, "budget.flops=6e6")
    assert longer["budget"]["extended"] == [{"minutes": None, "examples": None, "flops": 3e6, "examples_seen": seen}]
    assert longer["cost"]["train_flops"] >= 6e6
    assert longer["cost"]["train_flops"] / longer["cost"]["examples_seen"] == pytest.approx(used / seen)


def test_an_extension_that_is_cut_off_leaves_the_finished_run(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Budget.on_train_batch_end

    def killed(self: Budget, *arguments: object) -> None:
        step(self, *arguments)
        if self.examples_seen > 320:
            raise InterruptedError("killed")

    kept = [finished.config, finished.result, finished.chosen]
    before = [path.read_bytes() for path in kept]
    with monkeypatch.context() as patch:
        patch.setattr(Budget, "on_train_batch_end", killed)
        with pytest.raises(InterruptedError):
            resumed(finished, "budget.examples=512", "budget.validations=16")
    assert [path.read_bytes() for path in kept] == before  # still the weights and the numbers of 128 examples
    assert found(command(tmp_path)) == finished.path
    with pytest.raises(
        UserError, match=r"budget\.examples=128 is less than the 320 examples.* of budget\.examples=512"
    ):
        resumed(finished)
    with monkeypatch.context() as patch:  # the new weights are in place, and their numbers are not known yet
        patch.setattr("genarena.run.Run.evaluate", lambda self: (_ for _ in ()).throw(InterruptedError("killed")))
        with pytest.raises(InterruptedError):
            resumed(finished, "budget.examples=512", "budget.validations=16")
    row = results.read_row(finished.result)
    assert (row["status"], row["metrics"], row["budget"]["examples"]) == ("failed", {}, 512)
    resumed(finished)
    assert agreed(finished) == 512
    assert found(command(tmp_path)) is None


def test_another_budget_before_the_first_checkpoint_is_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("genarena.run.Run.fit", lambda *_: (_ for _ in ()).throw(InterruptedError("killed")))
        with pytest.raises(InterruptedError):
            run(compose(command(tmp_path)))
    (path,) = tmp_path.glob("digits/made/*")
    row = resumed(RunFolder.open(path), "budget.examples=64")
    assert "extended" not in row["budget"]
    assert agreed(RunFolder.open(path)) == 64
    assert found(command(tmp_path, "budget.examples=64")) == path
    assert found(command(tmp_path)) is None


@pytest.mark.parametrize("given", ["metrics=[sampling_seconds]", "evidence.examples.num_test=10"])
def test_a_finished_run_keeps_its_metrics(finished: RunFolder, given: str) -> None:
    before = files(finished)
    with pytest.raises(UserError, match=rf"finished, and .* differs.*scripts/evaluate\.py run={finished.path}"):
        resumed(finished, given)
    assert files(finished) == before


def test_a_checkpoint_that_does_not_say_its_budget_is_refused(finished: RunFolder) -> None:
    content = checkpoint.load(finished.last)
    del content["callbacks"]["Limits"]
    checkpoint.save(content, finished.last)
    with pytest.raises(Untrusted, match="does not say how much was seen"):
        resumed(finished)


# -- data --------------------------------------------------------------------------------------------------------------


def pictures(folder: Path, first: int, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        levels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(levels).save(folder / f"{number:03d}.png")


def of_pictures(runs_dir: Path, root: Path, *more: str) -> list[str]:
    line = [text for text in command(runs_dir) if not text.startswith(("model=", "model.hidden", "data="))]
    return ["model=uniform", "data=image_folder", f"data.root={root}", "data.image_size=8", *line, *more]


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets are read in this process, which has torch imported already."""

    def data_id(node: str) -> str | None:
        try:
            data = build(json.loads(node), "data")
            data.setup()
        except UserError:
            return None
        return data.facts["id"]

    data_id.cache_clear = lambda: None
    monkeypatch.setattr(same_data, "_data_id", data_id)


def test_other_pictures_are_another_data_set(tmp_path: Path, read_here: None) -> None:
    root, runs_dir = tmp_path / "pictures", tmp_path / "runs"
    pictures(root, 0, 20)
    line = of_pictures(runs_dir, root)
    row = run(compose(line))
    folder = RunFolder.open(next(runs_dir.glob("image_folder/uniform/*")))
    assert found(line) == folder.path
    pictures(root, 20, 10)
    before = files(folder)
    assert found(line) is None
    with pytest.raises(UserError, match=f"and the run was trained on {row['data']['id']}"):
        resumed(folder)
    assert files(folder) == before
    pictures(tmp_path / "same", 0, 20)
    moved = resumed(folder, f"data.root={tmp_path / 'same'}")  # the data id counts, not the place
    assert moved["data"]["id"] == row["data"]["id"]
    for number in range(20, 30):
        (root / f"{number:03d}.png").unlink()
    os.utime(root / "000.png")  # the same pictures, with another date
    assert found(line) is None and found(of_pictures(runs_dir, tmp_path / "same")) == folder.path
    assert found([*line[:2], f"data.root={tmp_path / 'nowhere'}", *line[3:]]) is None


def test_a_stored_run_whose_files_were_touched_is_read_again(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", 0, 20)
    line = of_pictures(tmp_path / "runs", tmp_path / "pictures")
    run(compose(line))
    os.utime(tmp_path / "pictures" / "000.png", (1, 1))  # another process says that they are the same pictures
    assert found(line) is not None


def test_the_stamp_follows_links_and_ends(tmp_path: Path) -> None:
    pictures(tmp_path / "elsewhere", 0, 2)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "root")
    before = same_data.stamp(tmp_path / "root")
    assert same_data.stamp(tmp_path / "root") == before
    pictures(tmp_path / "elsewhere", 2, 1)
    assert same_data.stamp(tmp_path / "root") != before
