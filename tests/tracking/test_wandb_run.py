"""W&B online and offline: training goes on without it, a run folder is one W&B run, no key is written anywhere."""

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from genarena.config import compose
from genarena.errors import UserError
from genarena.run import run
from genarena.runs.folder import RunFolder
from genarena.tracking import wandb_run, wandb_settings
from genarena.training.callbacks.budget import Budget
from tests.tracking import offline_file
from tests.tracking.fake_server import FakeServer

KEY = "c0ffee" + "0123456789abcdef" * 2 + "42"


def command(runs_dir: Path, *more: str) -> list[str]:
    return [
        "model=realnvp",
        "data=digits",
        "budget=smoke",
        "budget.examples=32",
        "metrics=[sampling_seconds]",
        "model.training.batch_size=8",
        "callbacks.progress=false",
        "callbacks.grid_size=1",
        "logger=wandb",
        f"runs_dir={runs_dir}",
        *more,
    ]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing of the user's, and a key."""
    for name in ("WANDB_MODE", "WANDB_BASE_URL", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    return monkeypatch


@pytest.fixture
def server(environment: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    server = FakeServer()
    environment.setenv("WANDB_BASE_URL", server.url)
    yield server
    wandb.teardown()
    server.close()


def holding_the_key(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_online_every_job_is_a_run_of_its_own(server: FakeServer, tmp_path: Path, capfd, monkeypatch) -> None:
    """Also after one that failed; the numbers arrive, and of the files the weights that were evaluated."""
    with monkeypatch.context() as patch:
        patch.setattr(
            "genarena.run.Run.evaluate", lambda *_: (_ for _ in ()).throw(RuntimeError("the disk is on fire"))
        )
        with pytest.raises(RuntimeError):
            run(compose(command(tmp_path / "runs")))
    run(compose(command(tmp_path / "runs", "seed=1")))
    first, second = (
        (tmp_path / f"runs/digits/realnvp/{path.name}/wandb/id").read_text().strip()
        for path in sorted((tmp_path / "runs/digits/realnvp").iterdir(), key=lambda p: p.name[-1])
    )
    assert first != second
    assert {given["name"] for given in server.runs} == {first, second}
    given = next(given for given in server.runs if given["name"] == second and given.get("config"))
    assert json.loads(given["config"])["seed"]["value"] == 1
    assert (given["groupName"], given["jobType"], given["project"]) == ("digits-realnvp", "train", "genarena")
    text = "".join(server.streamed)
    assert all(key in text for key in ("train/gradient_norm", "val/bits_per_dim", "test/sampling_seconds"))
    assert '"exitcode":1' in text and '"exitcode":0' in text
    (artifact,) = server.artifacts
    assert (artifact["artifactCollectionName"], artifact["artifactTypeName"]) == (f"model-{second}", "model")
    (path,) = (tmp_path / "runs/digits/realnvp").glob("*-seed1")
    names = (
        "checkpoints/chosen.ckpt",
        "checkpoints/chosen.ckpt.sha256",
        "config.yaml",
        "result.json",
        "result.json.sha256",
    )
    assert {name: server.files[name] for name in names} == {name: (path / name).read_bytes() for name in names}
    assert set(server.files) == {*names, "manifest"} and server.committed == 1
    for name in names:
        (tmp_path / "downloaded" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "downloaded" / name).write_bytes(server.files[name])
    assert RunFolder.open(tmp_path / "downloaded").rebuild()[0]["seed"] == 1
    assert "wandb:" not in "".join(capfd.readouterr())
    assert not holding_the_key(tmp_path)
    assert not any(KEY.encode() in body for body in server.bodies)


def test_a_server_that_never_answers_is_not_waited_for(server: FakeServer, tmp_path: Path, capfd) -> None:
    server.answering.clear()
    row = run(compose(command(tmp_path / "runs", "logger.init_timeout=1")))
    assert row["status"] == "ok"
    lines = [line for line in "".join(capfd.readouterr()).splitlines() if "wandb" in line]
    assert len(lines) == 2, lines
    assert re.fullmatch(r"wandb: offline \(.*deadline.*\); checkpoints stay here", lines[0]), lines[0]
    (folder,) = tmp_path.glob("runs/digits/realnvp/*/wandb/*run-*")
    assert lines[1] == f"wandb: to upload: wandb sync {folder}"
    assert offline_file.read(folder).summary["status"] == "ok"
    assert not holding_the_key(tmp_path)


@pytest.mark.slow
def test_a_server_that_falls_silent_is_not_waited_for(server: FakeServer, tmp_path: Path, capfd, monkeypatch) -> None:
    def silent(self: Budget, *args: object) -> None:
        server.answering.clear()
        budget_step(self, *args)

    budget_step = Budget.on_train_batch_end
    monkeypatch.setattr(Budget, "on_train_batch_end", silent)
    row = run(compose(command(tmp_path / "runs", "logger.finish_timeout=1")))
    assert row["status"] == "ok"
    said = capfd.readouterr().out
    (folder,) = tmp_path.glob("runs/digits/realnvp/*/wandb/run-*")
    assert "wandb: not everything is uploaded" in said
    assert f"wandb: to upload: wandb sync --include-online {folder}\n" in said


def test_without_network_in_one_line(environment: pytest.MonkeyPatch, tmp_path: Path, capfd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    environment.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    run(compose(command(tmp_path / "runs")))
    assert "wandb: offline (no network); checkpoints stay here\n" in capfd.readouterr().out


def test_a_proxy_is_asked_in_place_of_the_server(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WANDB_BASE_URL", "https://wandb.invalid")
    assert wandb_settings.why_offline(None) == "no network"
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        environment.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert wandb_settings.why_offline(None) is None
        environment.setenv("no_proxy", "wandb.invalid")
        assert wandb_settings.why_offline(None) == "no network"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("https_proxy", "::::"), ("https_proxy", "u:pass@h:port"), ("WANDB_BASE_URL", "http://[::1")],
)
def test_what_is_no_address_is_refused_before_there_is_a_folder(
    variable: str, value: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv(variable, value)
    with pytest.raises(UserError, match=f"^{variable}: is no address") as refused:
        run(compose(command(tmp_path / "runs")))
    assert "pass" not in str(refused.value) and not (tmp_path / "runs").exists()


def test_online_by_order_needs_a_key(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.delenv("WANDB_API_KEY")
    with pytest.raises(UserError, match="logger.offline=false: W&B has no API key"):
        run(compose(command(tmp_path / "runs", "logger.offline=false")))
    assert not (tmp_path / "runs").exists()
    (tmp_path / "none").write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    names = {"project": "genarena", "entity": None}
    wandb_run.check({"kind": "wandb", "offline": False, "init_timeout": 1.0, **names})


def test_a_resumed_run_is_the_same_wandb_run(environment: pytest.MonkeyPatch, tmp_path: Path, capfd) -> None:
    def killed(self: Budget, *args: object) -> None:
        raise KeyboardInterrupt

    with environment.context() as patch:
        patch.setattr(Budget, "on_train_batch_end", killed)
        with pytest.raises(KeyboardInterrupt):
            run(compose(command(tmp_path / "runs", "logger.offline=true")))
    (path,) = tmp_path.glob("runs/digits/realnvp/*")
    run(compose(command(tmp_path / "runs", "logger.offline=true", f"resume={path}")))
    parts = sorted((path / "wandb").glob("offline-run-*"))
    killed_part, whole = map(offline_file.read, parts)
    assert killed_part.summary["status"] == "failed"
    assert (whole.summary["status"], whole.summary["error"]) == ("ok", None)
    assert {part.runs[0].run_id for part in (killed_part, whole)} == {(path / "wandb" / "id").read_text().strip()}
    said = capfd.readouterr().out.splitlines()
    assert f"wandb: to upload: wandb sync {parts[0]} {parts[1]}" in said
    assert not holding_the_key(tmp_path)


def test_the_id_is_random_kept_and_an_agents_where_there_is_one(tmp_path: Path, environment) -> None:
    assert wandb_run._identity(tmp_path / "a") == wandb_run._identity(tmp_path / "a")
    assert wandb_run._identity(tmp_path / "a") != wandb_run._identity(tmp_path / "b")
    (tmp_path / "b" / "wandb" / "id").write_text("../../elsewhere")
    assert wandb_run._identity(tmp_path / "b").isalnum()
    environment.setenv("WANDB_RUN_ID", "fromtheagent")
    assert wandb_run._identity(tmp_path / "c") != "fromtheagent"  # an exported id would merge all runs of a sweep
    environment.setenv("WANDB_SWEEP_ID", "x")
    assert wandb_run._identity(tmp_path / "d") == "fromtheagent"
    assert wandb_run._identity(tmp_path / "a") != "fromtheagent"


def test_what_goes_wrong_with_wandb_does_not_end_the_run(environment, tmp_path: Path, capfd) -> None:
    environment.setattr(wandb.Run, "log", lambda *_: (_ for _ in ()).throw(wandb.Error("service is gone")))
    row = run(compose(command(tmp_path / "runs", "logger.offline=true")))
    assert row["status"] == "ok"
    assert "wandb: service is gone" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("variables", "options", "said"),
    [
        ({"WANDB_BASE_URL": "notaurl"}, {}, "base_url (WANDB_BASE_URL): Input should be a valid URL"),
        ({"WANDB_SERVICE": "odd"}, {}, "Failed to parse WANDB_SERVICE='odd'"),
        ({"WANDB_MODE": "odd"}, {}, "mode (WANDB_MODE): Input should be"),
        ({}, {"project": "a?b"}, "cannot contain"),
        ({}, {"project": "team/"}, "logger.project=team/: expected <project>, or <entity>/<project> alone"),
        ({}, {"project": "a/b", "entity": "c"}, "logger.project=a/b, logger.entity=c: expected <project>, or"),
    ],
)
def test_what_wandb_would_refuse_is_one_line_before_a_run_has_a_folder(
    variables: dict, options: dict, said: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    given = [f"logger.{key}='{value}'" for key, value in options.items()]
    wandb.teardown()
    with pytest.raises(UserError) as refused:
        run(compose(command(tmp_path / "runs", *given)))
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "runs").exists()


def test_a_project_may_name_its_team(environment: pytest.MonkeyPatch) -> None:
    assert wandb_settings.names({"project": "team/proj", "entity": None}) == ("team", "proj")
    assert wandb_settings.names({"project": "team/proj", "entity": "team"}) == ("team", "proj")
    assert wandb_settings.names({"project": "proj", "entity": None}) == (None, "proj")


@pytest.mark.slow
def test_a_team_in_the_variable_is_no_matter(environment: pytest.MonkeyPatch, tmp_path: Path, capfd) -> None:
    environment.setenv("WANDB_PROJECT", "team/proj")
    environment.setenv("WANDB_MODE", "offline")
    assert run(compose(command(tmp_path / "runs")))["status"] == "ok"
    assert "wandb: to upload" in capfd.readouterr().out


def test_disabled_means_no_wandb_run(environment: pytest.MonkeyPatch, tmp_path: Path, capfd) -> None:
    environment.setenv("WANDB_MODE", "disabled")
    assert run(compose(command(tmp_path / "runs")))["status"] == "ok"
    assert not list(tmp_path.rglob("wandb")) and "wandb:" not in "".join(capfd.readouterr())


def test_a_home_that_cannot_be_written_is_no_matter(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    for name in wandb_settings.HOMES:
        environment.delenv(name, raising=False)
    wandb_settings.prepare({"init_timeout": 1.0})
    for name in wandb_settings.HOMES:
        assert Path(os.environ[name]).is_dir() and tmp_path not in Path(os.environ[name]).parents
        environment.setenv(name, os.environ[name])  # taken back after the test
