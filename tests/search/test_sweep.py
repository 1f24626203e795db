"""A search ends with the number of trials that was asked for, whatever happened; what it chooses by is validation."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from genarena import config
from genarena.errors import UserError
from genarena.jobs import launcher
from genarena.jobs.job import Job
from genarena.runs import results
from genarena.search import space, sweep_report
from genarena.search import sweep as sweep_module
from genarena.search.space import checked
from genarena.search.sweep import Search, is_hopeless
from tests.instant_jobs import Instant, stored_run

ROOT = Path(__file__).parents[2]
FAMILIES = {path.name for path in (config.SOURCE / "models").iterdir() if path.is_dir() and path.name[0] not in "_."}
LINE = ["sweep=vae", "data=digits", "budget=smoke"]


@cache
def composed_once(conf: Path, overrides: tuple[str, ...]) -> DictConfig:
    cfg = COMPOSE(list(overrides))
    OmegaConf.resolve(cfg.choices)  # by what Hydra composed last
    return cfg


COMPOSE = config.compose


def compose(overrides: list[str]) -> DictConfig:
    """As `config.compose`; what differs in `runs_dir` alone is composed once."""
    where = [text.partition("=")[2] for text in overrides if text.startswith("runs_dir=")]
    cfg = composed_once(config.CONF, tuple(text for text in overrides if not text.startswith("runs_dir="))).copy()
    return OmegaConf.merge(cfg, {"runs_dir": where[-1]}) if where else cfg


@pytest.fixture(autouse=True)
def cheap_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs without composing: their overrides stand for the model."""

    def job_of(overrides: list[str]) -> Job:
        plain = [text for text in overrides if not text.startswith("model.")]
        return Job(
            tuple(overrides), OmegaConf.to_container(compose(plain), resolve=True) | {"model": {"is": list(overrides)}}
        )

    monkeypatch.setattr(config, "compose", compose)
    monkeypatch.setattr(launcher, "job_of", job_of)
    monkeypatch.setattr(launcher, "POLL", 0.0)
    monkeypatch.setattr(sweep_module, "LOOK", 0.0)


def search(tmp_path: Path, *more: str) -> Search:
    return Search(config.check([*LINE, f"runs_dir={tmp_path}", *more]))


def parameters(job: Job) -> dict[str, str]:
    pairs = [text.partition("=") for text in job.overrides if text.startswith("model.")]
    return {key: value for key, _, value in pairs}


def scores(job: Job) -> int:
    """A run that reached bits/dim = latent dimension / 100 and a distance that falls with it."""
    value = int(parameters(job).get("model.latent_dim", 50)) / 100
    metrics = {"bits_per_dim": {"value": value, "n": 1}, "fd_domain": {"value": 1 / value, "n": 1}}
    stored_run(job, f"run{len(list(Path(job.cfg['runs_dir']).glob('*/*/*')))}", {"status": "ok", "metrics": metrics})
    return 0


def fails(job: Job) -> int:
    number = len(list(Path(job.cfg["runs_dir"]).glob("*/*/*")))
    stored_run(job, f"failed{number}", {"status": "diverged", "error": "Diverged: training diverged"})
    return 3


def dies(*_: object) -> int:
    raise KeyboardInterrupt


def states(found: Search) -> list[str]:
    return [trial.state.name for trial in found.study.get_trials()]


def of_a_dead_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on trials belong to a process of this machine that is gone."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    owner = sweep_module._owner
    monkeypatch.setattr(sweep_module, "_owner", lambda: owner() | {"pid": gone.pid})


def test_top_up_goes_on_where_the_search_stopped(tmp_path: Path) -> None:
    whole, first = Instant(scores), Instant(scores)
    launcher.work(search(tmp_path / "whole", "sweep.trials=8", "sweep.startup=4"), whole)
    launcher.work(search(tmp_path / "parts", "sweep.trials=3", "sweep.startup=4"), first)
    launcher.work(again := search(tmp_path / "parts", "sweep.trials=8", "sweep.startup=4"), second := Instant(scores))
    assert states(again) == ["COMPLETE"] * 8
    assert (len(first.jobs), len(second.jobs)) == (3, 5)
    tried = [parameters(job) for job in whole.jobs]
    assert tried == [parameters(job) for job in (*first.jobs, *second.jobs)]  # as if it had never stopped
    assert len({tuple(values.items()) for values in tried}) == 8
    launcher.work(again, third := Instant(scores))
    assert third.jobs == []
    values = [trial["values"] for trial in sweep_report.report(again.folder, again.study).trials]
    assert [first for first, _ in values] == [int(t["model.latent_dim"]) / 100 for t in tried]


def test_a_trial_of_a_dead_process_is_run_again_with_the_same_parameters(tmp_path: Path, monkeypatch) -> None:
    launcher.work(search(tmp_path / "whole", "sweep.trials=3"), whole := Instant(scores))
    with monkeypatch.context() as patch:
        of_a_dead_process(patch)
        with pytest.raises(KeyboardInterrupt):
            launcher.work(search(tmp_path / "parts", "sweep.trials=3"), killed := Instant(scores, dies))
    found = search(tmp_path / "parts", "sweep.trials=3")
    assert states(found) == ["COMPLETE", "RUNNING"]
    launcher.work(found, again := Instant(scores))
    assert states(found) == ["COMPLETE"] * 3
    assert [parameters(job) for job in (*killed.jobs, *again.jobs[1:])] == [parameters(job) for job in whole.jobs]
    assert parameters(again.jobs[0]) == parameters(killed.jobs[1])


def test_killed_before_its_parameters_were_drawn_or_its_result_was_told(tmp_path: Path, monkeypatch) -> None:
    launcher.work(search(tmp_path / "whole", "sweep.trials=2"), whole := Instant(scores))
    with monkeypatch.context() as patch:
        of_a_dead_process(patch)
        found = search(tmp_path / "parts", "sweep.trials=2")
        scores(found.take())  # finished, and killed before it was told
        patch.setattr(space.Dimension, "suggest", dies)
        with pytest.raises(KeyboardInterrupt):
            found.take()
    launcher.work(found := search(tmp_path / "parts", "sweep.trials=2"), again := Instant(scores))
    assert states(found) == ["COMPLETE", "COMPLETE"]
    assert [parameters(job) for job in again.jobs] == [parameters(whole.jobs[1])]  # the finished one was only read


def test_trials_of_living_searches_are_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = search(tmp_path, "sweep.trials=3"), search(tmp_path, "sweep.trials=3")
    taken = [mine.take(), other.take(), mine.take()]
    assert len({tuple(parameters(job).items()) for job in taken}) == 3
    assert (mine.take(), other.take()) == (None, None)
    for named, lost in (("elsewhere", None), ("silent", True)):
        owner = {"host": named, "pid": os.getpid(), "beat": time.time() - (2 * sweep_module.SILENT if lost else 0)}
        for name, value in owner.items():
            mine.storage.set_trial_user_attr(other.running[taken[1]], name, value)
        assert (mine.take() is not None) is bool(lost)


def test_a_failed_trial_is_recorded_and_the_rest_goes_on(tmp_path: Path, capsys) -> None:
    def measures_nothing(job: Job) -> int:
        metrics = {"bits_per_dim": {"value": 1.0, "n": 1}, "fd_domain": {"value": None, "reason": "too few"}}
        stored_run(job, "null", {"status": "ok", "metrics": metrics})
        return 0

    found = search(tmp_path, "sweep.trials=4")
    launcher.work(found, Instant(scores, fails, measures_nothing, scores))
    assert states(found) == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    report = sweep_report.report(found.folder, found.study)
    assert [trial["exit_code"] for trial in report.trials] == [0, 3, 1, 0]
    assert "2 done, 2 failed" in report.text
    assert "failed 1: Diverged: training diverged" in report.text and "failed 2: no fd_domain: too few" in report.text
    launcher.work(again := search(tmp_path, "sweep.trials=4"), nothing := Instant(scores))
    assert nothing.jobs == [] and states(again) == states(found)


def test_a_search_in_which_everything_fails_gives_up(tmp_path: Path) -> None:
    for _ in range(2):  # also when it is started again
        with pytest.raises(
            UserError, match="all of the first 3 trials failed, the last one so: Diverged: .*nothing more"
        ):
            launcher.work(found := search(tmp_path, "sweep.trials=9"), Instant(fails))
    assert states(found) == ["FAIL"] * 3


def test_machines_without_a_common_lock_begin_no_trial_too_many(tmp_path: Path, monkeypatch) -> None:
    storage = f"sweep.storage=sqlite:///{tmp_path}/shared.db"
    fast, slow = (search(tmp_path / name, "sweep.trials=1", storage) for name in ("fast", "slow"))
    assert fast.take() is not None
    seen, counted = [[]], sweep_report.counted  # what the slow one saw before the fast one began its trial
    with monkeypatch.context() as patch:
        patch.setattr(sweep_report, "counted", lambda study: seen.pop() if seen else counted(study))
        assert slow.take() is None
    assert len(sweep_report.report(slow.folder, slow.study).trials) == 1
    launcher.work(search(tmp_path / "fast", "sweep.trials=2", storage), more := Instant(scores))
    assert len(more.jobs) == 1  # the surplus one does not count towards a top-up


def test_half_a_line_in_the_journal_and_a_lock_of_a_dead_process_stop_nothing(tmp_path: Path) -> None:
    launcher.work(found := search(tmp_path, "sweep.trials=1"), Instant(scores))
    journal = found.folder / sweep_report.JOURNAL
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker')
    (found.folder / f"{journal.name}.lock").symlink_to("gone")  # as Optuna's own lock leaves it
    launcher.work(search(tmp_path, "sweep.trials=2"), Instant(scores))
    launcher.work(again := search(tmp_path, "sweep.trials=3"), Instant(scores))
    assert states(again) == ["COMPLETE"] * 3
    journal.write_bytes(journal.read_bytes()[:200].replace(b'"', b"?") + journal.read_bytes()[200:])
    with pytest.raises(UserError, match="journal.log cannot be opened"):
        search(tmp_path, "sweep.trials=3")


def test_the_exit_code_tells_of_failed_trials_also_when_nothing_is_left_to_do(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(launcher, "make", lambda *_: Instant(scores, fails))
    line = config.check([*LINE, f"runs_dir={tmp_path}", "sweep.trials=2"])
    assert [sweep_module.sweep(line), sweep_module.sweep(line)] == [3, 3]
    assert capsys.readouterr().out.count("1 done, 1 failed") == 2


def test_hopeless_is_worse_than_the_median_at_the_same_share_of_the_budget() -> None:
    others = [[3.0, 2.0, 1.0], [4.0, 3.0, 2.0], [5.0, 4.0, 3.0], [9.0]]
    assert not is_hopeless([4.5], others)  # the median of 3, 4, 5, 9
    assert is_hopeless([4.6], others)
    assert not is_hopeless([9.0, 9.0], others)  # three others came so far: too few
    assert is_hopeless([6.0, 5.0], [*others, [5.0, 4.0]])
    assert not is_hopeless([1.0, 9.0], [*others, [5.0, 4.0]])  # its best so far counts


def test_what_is_hopeless_is_stopped_and_told_so(tmp_path: Path) -> None:
    """The fifth trial is far above the others: it is stopped at its first regular validation. The sixth too, but it has
    come to its end when that is seen. The seventh is above them at its early validations only."""

    def trains(job: Job) -> int | None:
        number = len(list((tmp_path / "sweeps").glob("*/runs/digits/vae/*")))
        values = {4: [9.0] * 4, 5: [9.0] * 5, 6: [9.0] * 3}.get(number, [3.0, 3.0, 3.0, 3.0, 2.0])
        scores(job)
        folder = job.folder
        if number == 4:
            (folder / "result.json").unlink()
        lines = [f"{step},{value}" for step, value in enumerate(values)]
        (folder / "metrics.csv").write_text("\n".join(["step,val/bits_per_dim", *lines]))
        return None if number == 4 else 0

    class Slow(Instant):
        """Jobs are looked at once before they end."""

        def start(self, job: Job, arguments: list[str], slot: int) -> Instant.Handle:
            handle = super().start(job, arguments, slot)
            handle.poll = iter([None, handle.code]).__next__ if handle.code == 0 else handle.poll
            return handle

    found, starts = search(tmp_path, "sweep.trials=7"), Slow(trains)
    launcher.work(found, starts)
    assert states(found) == ["COMPLETE"] * 4 + ["PRUNED", "COMPLETE", "COMPLETE"]
    assert starts.stopped == [starts.jobs[4]]
    report = sweep_report.report(found.folder, found.study)
    assert report.trials[4]["validation"] == [9.0] * 4 and report.trials[4]["exit_code"] == 0
    assert launcher.worst(trial["exit_code"] for trial in report.trials) == 0


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"model.laten_dim": {"low": 1, "high": 4}}, "did you mean model.latent_dim?"),
        ({"model.latent_dim": {"low": 1.5, "high": 4.5}}, "model.latent_dim=1.5: expected int"),
        ({"model.latent_dim": {"low": 0, "high": 4}}, "expected at least 1"),
        ({"model.latent_dim": {"low": 4, "high": 4}}, "low below high"),
        ({"model.latent_dim": {"lo": 4, "high": 4}}, "did you mean low?"),
        ({"model.latent_dim": 4}, "expected {low: .., high: ..,"),
        ({"model.beta": {"low": 0.0, "high": 1.0, "log": True}}, "positive numbers only"),
        ({"model.beta": {"choices": [1.0]}}, "at least two"),
        ({"seed": {"low": 0, "high": 4}}, "nothing is left to search"),
    ],
)
def test_a_wrong_space_is_refused_in_one_line(space: dict, words: str) -> None:
    with pytest.raises(UserError) as refused:
        checked(space, ["model=vae", "data=digits", "seed=1"])
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_misspelt_search_key_stops_the_command_before_anything_starts(tmp_path: Path, monkeypatch) -> None:
    conf = tmp_path / "conf"
    for path in config.CONF.rglob("*.yaml"):
        target = conf / path.relative_to(config.CONF)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text().replace("    model.latent_dim:", "    model.laten_dim:"))
    monkeypatch.setattr(config, "CONF", conf)
    with pytest.raises(UserError, match=r"model.laten_dim: there is no such option; did you mean model.latent_dim\?"):
        search(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["metrics=[fid]"], "sweep.minimize"),
        (["evaluation.split=test"], "sweep.minimize"),
        (["logger=none"], "metrics.csv"),
        (["sweep.minimize=[fidd]"], "did you mean fid"),
        (["sweep.storage=nosuch://user:secret@host/db"], "cannot be opened"),
    ],
)
def test_a_wrong_line_is_refused_in_one_line(tmp_path: Path, more: list[str], words: str) -> None:
    with pytest.raises(UserError) as refused:
        search(tmp_path, *more)
    assert words in str(refused.value) and "\n" not in str(refused.value) and "secret" not in str(refused.value)


def test_another_search_is_another_folder(tmp_path: Path) -> None:
    same = {search(tmp_path, *more).folder for more in ([], ["sweep.trials=3", "launcher.slots=2"])}
    other = {search(tmp_path, *more).folder for more in (["seed=1"], ["model.latent_dim=2"], ["sweep.minimize=[fid]"])}
    assert len(same) == 1 and len(other) == 3 and not same & other


def test_every_family_has_a_search_and_others_are_those_of_a_model() -> None:
    assert {*config.available("sweep")} >= FAMILIES - {"baseline"}
    assert {*config.available("sweep")} <= FAMILIES | {*config.available("model")}


@pytest.mark.parametrize(
    "name",
    [name if name in FAMILIES else pytest.param(name, marks=pytest.mark.slow) for name in config.available("sweep")],
)
def test_a_search_fits_its_models(name: str) -> None:
    cfg = OmegaConf.to_container(config.compose(config.check([f"sweep={name}", "data=digits"])), resolve=True)
    assert cfg["sweep"]["name"] == name
    model = cfg["choices"]["model"]
    assert (cfg["model"]["_target_"].split(".")[2] if name in FAMILIES else model) == name
    assert len(checked(cfg["sweep"]["space"], [f"model={model}", "data=digits"])) >= 4


def test_a_database_is_shared_and_its_password_is_written_nowhere(tmp_path: Path) -> None:
    storage = f"sweep.storage=sqlite:///{tmp_path}/secret.db"
    launcher.work(search(tmp_path / "one", "sweep.trials=1", storage), Instant(scores))
    launcher.work(found := search(tmp_path / "two", "sweep.trials=2", storage), second := Instant(scores))
    assert states(found) == ["COMPLETE", "COMPLETE"] and len(second.jobs) == 1
    assert not (found.folder / sweep_report.JOURNAL).exists()
    for path in found.folder.rglob("*"):
        assert path.is_dir() or "secret" not in path.read_text(errors="replace")


def test_status_and_the_file_for_the_page(tmp_path: Path) -> None:
    launcher.work(found := search(tmp_path, "sweep.trials=14"), Instant(scores, fails, scores))
    done = status("sweep=vae", f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "14 of 14 trials: 13 done, 1 failed" in done.stdout
    assert "importance for bits_per_dim: model.latent_dim " in done.stdout and "UserWarning" not in done.stderr
    kept = json.loads((found.folder / sweep_report.TRIALS).read_text())
    assert [trial["state"] for trial in kept["trials"]] == ["done", "failed", *["done"] * 12]
    assert kept["best"] == [trial["number"] for trial in kept["trials"] if trial["state"] == "done"]  # all on the front
    refused = status("sweep=vea", f"runs_dir={tmp_path}")
    assert refused.returncode == 2 and "there are vae" in refused.stderr


def status(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "sweep_status.py"), *arguments], capture_output=True, text=True
    )


# -- the real thing ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_twice_a_sweep_ends_with_the_right_number_of_trials(tmp_path: Path) -> None:
    """kill -9 of the search while its first and its third trial train; two slots; trials in real processes."""
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        "sweep=vae",
        "data=digits",
        "budget=smoke",
        "budget.examples=4096",
        "budget.num_val=100",
        "budget.num_test=100",
        "budget.num_samples=100",
        "sweep.minimize=[bits_per_dim]",
        "callbacks.grid_size=1",
        "sweep.trials=4",
        "launcher.slots=2",
        f"runs_dir={tmp_path}/runs",
    ]
    for checkpoints in (1, 3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while len(list(tmp_path.glob("runs/sweeps/*/runs/*/*/*/checkpoints/last.ckpt"))) < checkpoints:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (folder,) = (tmp_path / "runs" / "sweeps").iterdir()
    before = {t.number: t.params for t in sweep_report.open_study(folder, None)[1].get_trials() if t.params}
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 trials: 4 done, 0 failed" in done.stdout
    trials = sweep_report.open_study(folder, None)[1].get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    assert all(trials[number].params == params for number, params in before.items())
    rows = [results.read_row(path) for path in folder.glob("runs/*/*/*/result.json")]
    assert len(rows) == 4 and all(row["status"] == "ok" and row["data"]["split"] == "val" for row in rows)
    assert all(row["metrics"]["bits_per_dim"]["split"].startswith("val") for row in rows)
    assert sorted(row["metrics"]["bits_per_dim"]["value"] for row in rows) == sorted(trial.value for trial in trials)
