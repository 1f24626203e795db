"""The whole path: a row that the schema accepts, a folder that can be opened again, failures that say so."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genarena.config import compose
from genarena.errors import Diverged, FolderInUse, Untrusted, UserError
from genarena.evaluation import cost
from genarena.models.baseline.uniform import Uniform
from genarena.models.capabilities import Withholds
from genarena.models.recoding import Recodes
from genarena.run import Run, prepare, run
from genarena.runs import checkpoint, results
from genarena.runs.folder import RunFolder
from genarena.training.callbacks.budget import Budget
from tests.doors import script
from tests.small_world import SPEC, Halves

ROOT = Path(__file__).parents[1]
METRICS = "metrics=[bits_per_dim,nearest_neighbour_ratio,sampling_seconds]"


def command(tmp_path: Path, model: str = "realnvp", *more: str) -> list[str]:
    return [
        f"model={model}",
        "data=digits",
        "budget=smoke",
        "budget.examples=128",
        "model.training.batch_size=32",
        METRICS,
        f"runs_dir={tmp_path}/runs",
        "callbacks.progress=false",
        "callbacks.grid_size=4",
        *more,
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, RunFolder]:
    tmp_path = tmp_path_factory.mktemp("run")
    row = run(compose(command(tmp_path, "realnvp", "model.dequantisation=uniform")))
    (path,) = tmp_path.glob("runs/digits/realnvp/*")
    return row, RunFolder.open(path)


def test_folder_and_row(finished: tuple[dict, RunFolder]) -> None:
    row, folder = finished
    assert row == results.read_row(folder.result)
    assert row["status"] == "ok"
    assert (row["model"], row["family"]) == ("realnvp", "flow")
    # what makes it another model than the one as shipped
    assert row["overrides"] == ["model.training.batch_size=32", "model.dequantisation=uniform"]
    assert row["cost"]["examples_seen"] == 128
    assert row["cost"]["unmeasured"] == {}
    # The inverse of a flow runs the networks that its training runs; backward costs at most twice as much as forward.
    assert 2.0 < row["cost"]["train_flops"] / (128 * row["cost"]["sample_flops"]) <= 3.0
    assert all(record["seconds"] >= 0 for record in row["metrics"].values())
    assert row["metrics"]["bits_per_dim"]["value"] > 0
    assert folder.path.name.endswith("-seed0")
    pictures = {
        *(f"{at}{what}.png" for at in ("025", "050", "100") for what in ("", "-reconstructions")),
        "final.png",
        "neighbours.png",
        "reconstructions.png",
    }
    assert {path.name for path in folder.samples.iterdir()} == pictures
    header, *lines = (folder.path / "metrics.csv").read_text().splitlines()
    assert "val/bits_per_dim" in header
    assert len(lines) >= 2


def test_a_model_that_decodes_draws_reconstructions(tmp_path: Path) -> None:
    row = run(compose([*command(tmp_path, "vae"), "metrics=[]", "data.batch_size=16", "trainer.precision=32-true"]))
    assert row["overrides"][-2:] == ["data.batch_size=16", "trainer.precision=32-true"]
    (path,) = tmp_path.glob("runs/*/*/*/samples/reconstructions.png")
    assert Image.open(path).size == (8 * 34 + 2, 8 * 34 + 2)  # four rows of images, each over its reconstructions


def test_same_command_same_numbers(finished: tuple[dict, RunFolder], tmp_path: Path) -> None:
    row, _ = finished
    again = run(compose(command(tmp_path, "realnvp", "model.dequantisation=uniform")))
    for name in ("bits_per_dim", "nearest_neighbour_ratio"):
        first, second = row["metrics"][name], again["metrics"][name]
        assert first.pop("seconds") >= 0 and second.pop("seconds") >= 0
        assert first == second
    other = run(compose(command(tmp_path, "realnvp", "model.dequantisation=uniform", "seed=1")))
    assert other["metrics"]["bits_per_dim"]["value"] != row["metrics"]["bits_per_dim"]["value"]


def test_scripts_work_on_a_finished_run(finished: tuple[dict, RunFolder], tmp_path: Path) -> None:
    row, folder = finished
    program = [sys.executable, str(ROOT / "scripts" / "evaluate.py")]  # a process that has not trained
    given = [f"run={folder.path}", f"out={tmp_path}/again.json"]
    done = subprocess.run([*program, *given], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["metrics"]["bits_per_dim"]["value"] == pytest.approx(row["metrics"]["bits_per_dim"]["value"], rel=1e-6)
    done = script("sample.py", f"run={folder.path}", "num_samples=6", f"out={tmp_path}/s.npz")
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "s.npz")["samples"].shape == (6, 1, 8, 8)
    assert script("sample.py", f"run={folder.path}", "num_samples=6", f"out={tmp_path}/s.png").returncode == 0
    assert Image.open(tmp_path / "s.png").size == (3 * 34 + 2, 2 * 34 + 2)
    for option, words in (("device=gpu", "device=gpu: "), (f"out={folder.result}/s.png", "result.json")):
        refused = script("sample.py", f"run={folder.path}", option)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert words in refused.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("sample.py", ["run=nowhere"], "no run"),
        ("sample.py", [], "run=... is missing"),
        ("sample.py", ["run=x", "num_sample=3"], "did you mean num_samples?"),
        ("sample.py", ["run=x", "num_samples=many"], "expected int"),
        ("sample.py", ["run=x", "out=x.jpg"], ".png, .npz or .wav"),
        ("evaluate.py", ["run=x", "metrics=[fidd]"], "did you mean fid"),
        ("leaderboard.py", ["runs_dir=nowhere"], "no such folder"),
        ("leaderboard.py", ["logger=csv"], "expected none, wandb"),
        ("leaderboard.py", ["runs_dir="], "expected a path"),
        ("score.py", ["samples=x", "name=y", "metrics=[fid"], "metrics=[fid: is not a value"),
        ("reproduce.py", ["name="], "name= is empty"),
        ("selfcheck.py", ["data.root=/nowhere"], "no such folder"),
    ],
)
def test_scripts_refuse_in_one_line(name: str, arguments: list[str], words: str) -> None:
    done = script(name, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_damaged_weights_are_refused(
    finished: tuple[dict, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    _, folder = finished
    copy = RunFolder(tmp_path)
    copy.config.write_text(folder.config.read_text())
    with pytest.raises(UserError, match="no weights yet"):
        copy.rebuild()
    shutil.copytree(folder.checkpoints, copy.checkpoints)
    _, whole = copy.rebuild()
    copy.chosen.write_bytes(copy.chosen.read_bytes()[:-100])
    _, model = copy.rebuild()  # the same weights, as safetensors
    assert f"{copy.chosen} is damaged" in capsys.readouterr().err
    assert all(map(torch.equal, model.state_dict().values(), whole.state_dict().values()))
    done = script("sample.py", f"run={copy.path}", "num_samples=2", f"out={tmp_path}/s.npz")
    assert done.returncode == 0 and "chosen.ckpt is damaged" in done.stderr
    copy.safetensors.write_bytes(copy.safetensors.read_bytes()[:-100])
    with pytest.raises(Untrusted, match=r"chosen\.ckpt is damaged.*chosen\.safetensors is damaged"):
        copy.rebuild()
    for name in ("sample.py", "evaluate.py"):
        for path in (folder.result, checkpoint.seal(folder.result)):
            shutil.copy(path, copy.path)
        done = script(name, f"run={copy.path}")
        assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    state = dict(model.state_dict())
    state.popitem()
    checkpoint.save({"state_dict": state}, copy.chosen)
    with pytest.raises(Untrusted, match=r"does not fit.*Missing key"):
        copy.rebuild()


def test_a_diverged_run_writes_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(*args: object) -> None:
        raise Diverged("training diverged at 3% of the budget")

    monkeypatch.setattr(Budget, "on_train_batch_end", diverges)
    with pytest.raises(Diverged):
        run(compose(command(tmp_path)))
    (path,) = tmp_path.glob("runs/*/*/*/result.json")
    row = results.read_row(path)
    assert row["status"] == json.loads(path.with_name("status.json").read_text())["state"] == "diverged"
    assert row["error"] == "Diverged: training diverged at 3% of the budget"


def test_a_cost_that_is_not_finite_does_not_lose_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "measure", lambda *_: {"examples_per_second": float("inf")})
    row = run(compose(command(tmp_path, "uniform")))
    (path,) = tmp_path.glob("runs/digits/uniform/*")
    assert row == results.read_row(path / "result.json")
    assert (row["status"], row["cost"]["examples_per_second"]) == ("ok", None)


def test_a_row_that_cannot_be_written_does_not_hide_why_a_run_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def broken(self: Run) -> None:
        self.row["cost"] = object()
        raise ZeroDivisionError("in the evaluation")

    monkeypatch.setattr(Run, "evaluate", broken)
    with pytest.raises(ZeroDivisionError, match="in the evaluation"):
        run(compose(command(tmp_path, "uniform")))
    assert "warning: the row is not written: TypeError: object is no data" in capfd.readouterr().err


def test_nothing_is_written_for_an_impossible_pair(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"shape \(2,\)"):
        run(compose(["model=pixelcnn", "data=toy2d", f"runs_dir={tmp_path}/runs"]))
    with pytest.raises(UserError, match="no such folder"):
        run(compose(["model=vae", "data=image_folder", f"data.root={tmp_path}/no", f"runs_dir={tmp_path}/runs"]))
    assert list(tmp_path.iterdir()) == []


def test_resume_refuses_another_model(finished: tuple[dict, RunFolder], tmp_path: Path) -> None:
    _, folder = finished
    with pytest.raises(UserError, match="another seed: was 0, is 1"):
        run(compose([*command(tmp_path, "realnvp", "seed=1"), f"resume={folder.path}"]))
    with pytest.raises(UserError, match="another model"):
        run(compose([*command(tmp_path, "vae"), f"resume={folder.path}"]))


@pytest.mark.slow
def test_a_finished_run_resumed_is_the_same_run(tmp_path: Path) -> None:
    first = run(compose(command(tmp_path)))
    (path,) = tmp_path.glob("runs/digits/realnvp/*")
    again = run(compose([*command(tmp_path), f"resume={path}"]))
    assert again["cost"]["examples_seen"] == first["cost"]["examples_seen"]
    assert again["metrics"]["bits_per_dim"]["value"] == first["metrics"]["bits_per_dim"]["value"]
    longer = run(compose([*command(tmp_path), f"resume={path}", "budget.examples=192"]))
    assert longer["cost"]["examples_seen"] == 192


def test_a_finished_row_outlives_a_failed_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[dict] = []

    def broken(self: Run, *others: object) -> None:
        written.append(results.read_row(self.folder.result))
        raise RuntimeError("the disk is on fire")

    row = run(compose([*command(tmp_path), "metrics=[]"]))
    (path,) = tmp_path.glob("runs/*/*/*")
    monkeypatch.setattr(Run, "fit", broken)
    with pytest.raises(RuntimeError, match="on fire"):
        run(compose([*command(tmp_path), "metrics=[]", f"resume={path}"]))
    assert results.read_row(path / "result.json") == written[0] == row
    with pytest.raises(RuntimeError, match="on fire"):
        run(compose([*command(tmp_path, "vae"), "metrics=[]"]))
    assert written[1]["status"] == "failed" and "was killed" in written[1]["error"]  # what a kill leaves
    (path,) = tmp_path.glob("runs/digits/vae/*/result.json")
    assert results.read_row(path)["error"] == "RuntimeError: the disk is on fire"


@pytest.mark.slow
def test_ctrl_c_ends_in_130_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    arguments = [*command(tmp_path), "budget.examples=1000000", "budget.validations=1000"]
    process = subprocess.Popen([sys.executable, str(ROOT / "train.py"), *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/*/*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors
    (path,) = tmp_path.glob("runs/*/*/*/result.json")
    assert results.read_row(path)["error"] == "interrupted (SIGINT)"
    seen = torch.load(path.parent / "checkpoints" / "last.ckpt", weights_only=True)["arena"]["batches_seen"] * 32
    row = run(compose([*command(tmp_path), f"resume={path.parent}", f"budget.examples={seen + 64}"]))
    assert row["status"] == "ok"
    assert row["cost"]["examples_seen"] == seen + 64


def test_a_machine_without_gpu_says_so(tmp_path: Path) -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="trainer=cpu"):
        run(compose(command(tmp_path, "vae", "trainer=gpu")))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "digits", "vae", 0)
    with folder.locked(), pytest.raises(FolderInUse), RunFolder(folder.path).locked():
        pass
    with folder.locked():  # free again
        pass


def test_eight_folders_in_one_second(tmp_path: Path) -> None:
    folders = {RunFolder.create(tmp_path, "digits", "vae", 0).path for _ in range(8)}
    assert len(folders) == 8


@pytest.mark.slow
def test_compiled_networks_give_the_same_result(tmp_path: Path) -> None:
    options = ["trainer.precision=32-true", "metrics=[bits_per_dim]"]  # bf16 rounds differently when it is compiled
    values = [
        run(compose(command(tmp_path, "realnvp", *options, f"trainer.compile={compiled}")))["metrics"]
        for compiled in ("false", "true")
    ]
    assert values[1]["bits_per_dim"]["value"] == pytest.approx(values[0]["bits_per_dim"]["value"], rel=1e-4)


def test_a_contender_does_not_get_what_only_references_get() -> None:
    class Greedy(Uniform, Withholds):
        family = "vae"

        def withhold(self, x: Tensor) -> None:
            self.kept = x

    class Reference(Greedy):
        family = "baseline"

    data = Halves(SPEC)
    prepare(reference := Reference(SPEC), data)
    assert torch.equal(reference.kept, data.val.x)

    class Seeing(Uniform, Recodes):
        family = "flow"

        def recode(self, x: Tensor) -> Tensor:
            return x

    for greedy in (Greedy, Seeing):
        with pytest.raises(UserError, match=f"{greedy.__name__}: only a reference"):
            prepare(greedy(SPEC), data)
