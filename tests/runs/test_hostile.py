"""Run folders from strangers: nothing in them is executed or resolved, no secret is shown."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from genarena.cli import expand_resume
from genarena.config import compose
from genarena.errors import Untrusted, UserError
from genarena.leaderboard import page
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from genarena.run import run
from genarena.runs import checkpoint, seals, stored_config
from genarena.runs.folder import RunFolder
from genarena.runs.past import find_run
from tests.leaderboard.rows import write_sealed
from tests.runs.test_checkpoint import Pickled

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-of-the-environment"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    runs_dir = tmp_path_factory.mktemp("runs")
    run(
        compose(
            [
                "model=made",
                "data=digits",
                "budget=smoke",
                "budget.examples=64",
                "model.training.batch_size=32",
                "metrics=[]",
                "logger=none",
                "callbacks.progress=false",
                "callbacks.grid_size=1",
                f"runs_dir={runs_dir}",
            ]
        )
    )
    (path,) = runs_dir.glob("digits/*/*")
    return RunFolder.open(path)


@pytest.fixture
def folder(finished: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(finished.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def edit(folder: RunFolder, before: str, after: str) -> None:
    text = folder.config.read_text()
    assert before in text
    folder.config.write_text(text.replace(before, after, 1))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            "_target_: genarena.models.autoregressive.made.MADE",
            "_target_: os.system",
            "_target_ 'os.system' is none of",
        ),
        ("_target_: torch.optim.Adam", "_target_: torch.load", "_target_ 'torch.load'"),
        ("_target_: pytorch_lightning.Trainer", "_target_: subprocess.run", "_target_ 'subprocess.run'"),  # never built
        ("published: null", "published: {a: [{_target_: builtins.exec}]}", "_target_ 'builtins.exec'"),
        ("published: null", "published: ${oc.env:GENARENA_SECRET}", "interpolation"),
        ("published: null", "published: [{a: '${oc.decode:${oc.env:GENARENA_SECRET}}'}]", "interpolation"),
        ("published: null", "published: !!python/object/apply:os.system ['touch executed']", "YAML tag"),
        ("published: null", "published: &a [x]\nother: [*a, *a, *a]", "YAML alias"),
    ],
)
def test_a_foreign_configuration_is_refused(
    before: str, after: str, words: str, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENARENA_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    edit(folder, before, after)
    for look in (folder.rebuild, lambda: expand_resume([f"resume={folder.path}"])):
        with pytest.raises(Untrusted) as refused:
            look()
        assert words in str(refused.value) and "\n" not in str(refused.value)
        assert SECRET not in str(refused.value)
    assert not (tmp_path / "executed").exists()


def test_stored_options_do_not_reach_beyond_the_run(folder: RunFolder) -> None:
    stored = [
        "model=realnvp",
        "data=digits",
        "+hydra.callbacks.x={_target_: os.system}",
        "hydra/launcher=joblib",
        "launcher=slurm",
        "seed=3",
        "~hydra.run",
        "resume=elsewhere",
    ]
    text = folder.config.read_text()
    start = text.index("  overrides:")
    folder.config.write_text(f"{text[:start]}  overrides: {json.dumps(stored)}\n")
    given = f"resume={folder.path}"
    assert expand_resume([given]) == ["model=realnvp", "data=digits", "seed=3", given]
    for hostile in ('["--config-dir=/tmp/evil"]', "[{a: 1}]", "7"):
        folder.config.write_text(f"{text[:start]}  overrides: {hostile}\n")
        with pytest.raises(Untrusted):
            expand_resume([given])


def test_a_broken_configuration_is_one_line(folder: RunFolder) -> None:
    for content in (b"a: [", b"model: 1\ndata: 2\nchoices: 3\n", b""):
        folder.config.write_bytes(content)
        with pytest.raises(UserError):
            stored_config.load(folder.config)
    folder.config.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Untrusted):
        stored_config.load(folder.config)


def test_scripts_execute_no_pickle(folder: RunFolder, tmp_path: Path) -> None:
    hostile = {"state_dict": {}, "hook": Pickled(tmp_path / "executed")}
    for name in ("last.ckpt", "chosen.ckpt"):
        for path in folder.checkpoints.iterdir():
            path.unlink()
        path = folder.checkpoints / name
        torch.save(hostile, path)
        checkpoint._install(path, path, seals.digest(path))
        with pytest.raises(Untrusted, match=f"{name} is damaged or holds more than tensors"):
            folder.rebuild()
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "sample.py"), f"run={folder.path}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
    )
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1 and "holds more than tensors" in done.stderr
    assert not (tmp_path / "executed").exists()


def test_a_run_on_the_net_is_no_run(tmp_path: Path) -> None:
    for address in ("http://localhost:9/run", "https://localhost:9/run", "file:///tmp/run"):
        with pytest.raises(UserError, match="no run"):
            RunFolder.open(address)
        with pytest.raises(UserError, match="no run"):
            expand_resume([f"resume={address}"])


def test_scripts_in_names_are_text(folder: RunFolder) -> None:
    evil = "<script>alert(1)</script>"
    row = json.loads(folder.result.read_text())
    row |= {"model": evil, "family": evil, "overrides": [f"a={evil}"], "run": evil, "_target_": "os.system"}
    row["metrics"]["nll_nats"] = {"value": None, "reason": evil}
    row["data"]["id"] = row["line"]["id"] = evil
    (folder.path / evil.replace("/", "")).mkdir()
    write_sealed(folder.result, row)
    runs, broken = find_runs(folder.path.parent)
    html = page.render(make_tables(runs), [*broken, evil])
    assert evil not in html
    assert "&lt;script&gt;alert(1)" in html


def test_going_on_in_a_linked_folder_touches_nothing_behind_the_link(folder: RunFolder, tmp_path: Path) -> None:
    """No checkpoint is missed, so the run would start again, and clean the folder up first."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".bashrc").write_text("mine")
    shutil.rmtree(folder.checkpoints)
    folder.checkpoints.symlink_to(tmp_path / "home")
    facts = json.loads((folder.path / "status.json").read_text())
    (folder.path / "status.json").write_text(json.dumps(facts | {"checkpoint": 0, "state": "interrupted"}))
    before = {path.name: path.stat().st_mtime_ns for path in folder.path.iterdir()}
    with pytest.raises(Untrusted, match="checkpoints is a link that leads out of its run folder") as refused:
        run(compose(expand_resume([f"resume={folder.path}"])))
    assert refused.value.exit_code == 4
    assert os.listdir(tmp_path / "home") == [".bashrc"]
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.path.iterdir()}


def test_a_strangers_run_beside_ours_is_passed_over(finished: RunFolder, capsys: pytest.CaptureFixture) -> None:
    cfg = stored_config.load(finished.config)
    beside = finished.path.with_name("beside")
    beside.mkdir()
    try:
        for content in (b"a: [", b"\xff", b"[" * 3000):
            (beside / "config.yaml").write_bytes(content)
            assert find_run(cfg) == finished.path
        (beside / "config.yaml").unlink()
        (beside / "config.yaml").symlink_to("/proc/self/environ")
        assert find_run(cfg) == finished.path
        assert capsys.readouterr().err.count("warning: passed over: ") == 4
    finally:
        shutil.rmtree(beside)
