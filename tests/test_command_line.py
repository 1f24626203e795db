"""What people type: folders of any name go through every hand, and what is wrong is one line that says what to type."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genarena import cli, config
from genarena.errors import Untrusted, UserError
from genarena.jobs import benchmark
from genarena.jobs.job import jobs_of
from genarena.options import words
from genarena.options.script import FEATURES, Option
from genarena.options.values import Count, Folder
from genarena.runs import results

ROOT = Path(__file__).parents[1]
ODD = "ü (1)=a,b"


def train(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def pictures(folder: Path) -> Path:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for index in range(24):
        levels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(levels).save(folder / f"{index}.png")
    return folder


@pytest.mark.slow
def test_folders_of_any_name_and_a_reader_that_goes_away(tmp_path: Path) -> None:
    """A job into `ü (1)=a,b` over pictures in `日本 a=b 'p(1)'`, whose output is read for one line; then its run again."""
    line = [
        "model=uniform",
        "data=image_folder",
        f"data.root={pictures(tmp_path / '日本 a=b [p](1)#')}",
        "budget=smoke",
    ]
    line += [
        "data.image_size=16",
        "metrics=[]",
        "logger=none",
        "callbacks.progress=false",
        f"runs_dir={tmp_path / ODD}",
    ]
    sweep = train("-m", *line)
    assert sweep.stdout.readline().startswith("train.py model=uniform")
    sweep.stdout.close()
    assert sweep.wait() == 0
    (folder,) = (tmp_path / ODD).glob("image_folder/uniform/*")
    (job,) = jobs_of(config.check(line))
    assert results.is_finished(folder / "result.json") and job.folder == folder  # the same line has nothing left to do
    (folder / "result.json").unlink()
    said, _ = train(f"resume={folder}").communicate()
    assert f"run: {folder}" in said, said
    assert results.is_finished(folder / "result.json")
    assert {path.name for path in tmp_path.iterdir()} == {ODD, "日本 a=b [p](1)#"}


def test_a_suite_lies_in_a_folder_of_any_name(tmp_path: Path) -> None:
    jobs = jobs_of(benchmark.command("digits", ["model=uniform", "seed=0", f"runs_dir={tmp_path / ODD}"]))
    assert [job.cfg["runs_dir"] for job in jobs] == [str(tmp_path / ODD)]
    assert config.check(jobs[0].overrides) == list(jobs[0].overrides)


def test_a_search_lies_in_a_folder_of_any_name(tmp_path: Path) -> None:
    from genarena.search.sweep import Search

    search = Search(config.check(["sweep=vae", "data=digits", "budget=smoke", f"runs_dir={tmp_path / ODD}"]))
    job = search.take()
    assert Path(job.cfg["runs_dir"]).parents[1] == tmp_path / ODD / "sweeps"
    assert config.check(job.overrides) == list(job.overrides)


def test_options_of_scripts_that_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    known = {
        "run": Option(Folder, ...),
        "out": Option(Folder, "x.png"),
        "data_root": Option(Folder | None),
        "num_samples": Option(Count, 3),
        **FEATURES,
    }
    given = [f"run=~/{ODD}", "out=null", "data_root=1e3", "features.inception_weights=download", "num_samples=4"]
    read = cli.options(known, "", given)
    assert (read["run"], read["out"], read["data_root"]) == (f"{tmp_path}/{ODD}", f"{tmp_path}/null", f"{tmp_path}/1e3")
    assert (read["features.inception_weights"], read["num_samples"]) == ("download", 4)
    with pytest.raises(UserError, match="run=: expected a path"):
        cli.options(known, "", ["run="])


@pytest.mark.parametrize(
    ("program", "given", "said"),
    [
        (
            "evaluate",
            "metrik.x=5",
            "evidence.<kind>.<option>=..., metric.<metric>.<option>=..., sampler=..., sampler.<option>=...",
        ),
        ("evaluate", "samplr=ddim", "sampler=..., sampler.<option>=...; did you mean sampler?"),
        ("sample", "samplr=ddim", "sampler=..., sampler.<option>=...; did you mean sampler?"),
        ("vocode", "samplr=ddim", "sampler=..., sampler.<option>=...; did you mean sampler?"),
        ("restore", "algoritm=mmps", "algorithm.<option>=...; did you mean algorithm?"),
    ],
)
def test_options_that_are_read_apart_are_named_too(
    program: str, given: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{program}.py", "run=r", given])
    with pytest.raises(SystemExit):
        runpy.run_path(str(config.SOURCE / "scripts" / f"{program}.py"), run_name="__main__")
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "given", "said"),
    [
        ("sample", "run=r seed=-1", "seed=-1: expected 0 to 4294967295"),
        ("sample", "run=r num_samples=0", "num_samples=0: expected at least 1"),
        ("sample", "run=r device=gpu", "device=gpu: expected cpu, cuda, cuda:<number> or mps"),
        ("sample", "num_samples=1", "run=... is missing; --help says what there is"),
        ("compress", "run=r out=o num_images=two", "num_images=two: expected int"),
        (
            "evaluate",
            "run=r features.space=vgg",
            "features.space=vgg: expected auto, domain, efficientnet, inception, dinov2, clip",
        ),
        ("evaluate", "run=r metric.ais_nll_nats.steps=0.5", "metric.ais_nll_nats.steps=0.5: expected int"),
        (
            "evaluate",
            "run=r metric.ais_nll_nats.step=5",
            "metric.ais_nll_nats.step: there is no such option; did you mean",
        ),
        ("evaluate", "run=r evidence.samples.num_samples=0", "evidence.samples.num_samples=0: expected at least 1"),
        ("evaluate", "run=r num_samples=5", "num_samples=5: expected one of run=..."),
        (
            "evaluate",
            "run=r evidence.sampels.num_samples=5",
            "evidence.sampels.num_samples: there is no such option; did you mean evidence.samples.num_samples?",
        ),
        (
            "score",
            "samples=s name=n data=digits metrics=[kid] evidence.examples.num_tests=5",
            "evidence.examples.num_tests: there is no such option; did you mean evidence.examples.num_test?",
        ),
        (
            "disturb",
            "data=digits metric.recall.kk=5",
            "metric.recall.kk: there is no such option; did you mean metric.recall.k?",
        ),
        ("evaluate", "run=r split=train", "split=train: expected test, val"),
        ("evaluate", "run=r metrics=fid", "metrics=fid: expected a list"),
        ("score", "samples=s name=n data=digits metrics=[fid] seed=1.5", "seed=1.5: expected int"),
        ("leaderboard", "logger=csv", "logger=csv: expected none, wandb"),
        ("make_shards", "pictures=p out=o on_error=stop", "on_error=stop: expected raise, skip"),
        ("benchmark", "suite=digits preview=maybe", "preview=maybe: expected bool"),
        (
            "benchmark",
            "suit=digits",
            "suit=digits: expected one of suite=..., preview=..., out=..., tasks=...; did you mean suite?",
        ),
        ("sweep_status", "sweep=", "sweep=: expected a value"),
        ("reproduce", "name=vae_mnist", "name=vae_mnist: there is no such experiment"),
        (
            "prepare_data",
            "date=digits",
            "date=digits: expected one of data=..., out=..., data.<option>=...; did you mean data?",
        ),
        ("selfcheck", "features.inception_weights=", "features.inception_weights=: expected a path"),
    ],
)
def test_a_wrong_option_of_a_script_is_one_line(
    program: str, given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{program}.py", *given.split()])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(config.SOURCE / "scripts" / f"{program}.py"), run_name="__main__")
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith(f"error: {said}"), told
    assert len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--model vae data=digits", "--model: options are written without dashes: model=vae"),
        ("--model=vae data=digits", "--model=vae: options are written without dashes: model=vae"),
        (
            "data=digits --model.latent_dim 3",
            "--model.latent_dim: options are written without dashes: model.latent_dim=3",
        ),
        ("model = vae", "model = vae: write it without spaces: model=vae"),
        ("model= vae =3", "vae =3: write it without spaces: vae=3"),
        ("--multi-run model=vae", "--multi-run: there is no such flag"),
        ("--shell-completion model=vae", "--shell-completion: there is no such flag"),
        ("model=vae --cfg", "--cfg: expected job or hydra or all after it"),
        ("model=vae --cfg nope", "--cfg nope: expected job or hydra or all"),
        ("--info=nope model=vae", "--info nope: expected all or config"),
        ("--resolve model=vae", "--resolve: goes with --cfg job"),
        ("-p model model=vae", "--package: goes with --cfg job"),
        ("-m --cfg job model=vae", "--cfg: goes without --multirun"),
    ],
)
def test_what_people_type_in_place_of_an_option(given: str, said: str) -> None:
    with pytest.raises(UserError, match="^" + said.replace(".", r"\.").replace("=", "=")):
        words.split(given.split(), config.groups())


def test_flags_of_hydra_keep_their_values() -> None:
    options = ["model=vae", "data=digits", "=3"]  # the last is for `config.check` to refuse
    for given, read in [
        ("model=vae -c job data=digits --package=seed =3", ["--cfg", "job", "--package", "seed"]),
        ("-i model=vae data=digits =3", ["--info", "all"]),
        ("--info searchpath model=vae data=digits =3", ["--info", "searchpath"]),
        ("model=vae data=digits =3 -m", ["--multirun"]),
    ]:
        assert words.split(given.split(), ["model"]) == (read, options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model=vae,glow", "model=vae,glow: several values are for a sweep: python train.py -m model=vae,glow ..."),
        ("seed=range(3)", r"seed=range\(3\): several values are for a sweep"),
        ("vae", "vae: expected <option>=<value>"),
        ("=vae", "=vae: expected <option>=<value>"),
        *(
            (f"{group}=null", f"{group}=null: there is no such {group}")
            for group in ("model", "logger", "budget", "trainer")
        ),
        (
            "model.training.optimizer=null",
            "model.training.optimizer=null: it has options of its own, e.g. model.training.opt",
        ),
        ("model.training=null", "model.training=null: other options refer to it, e.g. data.batch_size"),
        ("data=null", "data=null: there is no such data"),
        ("model.latent_dims=2", r"did you mean model\.latent_dim\?"),
        ("model.training.lr=1", r"did you mean model\.training\.optimizer\.lr\?"),
        ("metrics=null", r"metrics=null: expected a list, e\.g\. metrics=\[bits_per_dim\]"),
        (
            "metrics=[fid",
            r"metrics=\[fid: cannot be read: a list is written \[a,b\], any text in quotes: \"metrics='...'\"",
        ),
        ("trainer.devices=2", "trainer.devices=2: this trainer uses one"),
        ("trainer.precision=16-mixed", "trainer.precision=16-mixed: expected auto, 32-true, bf16-mixed$"),
        ("trainer.precision=16-true", "expected auto, 32-true, bf16-mixed$"),
        ("trainer.precision=64-true", "expected auto, 32-true, bf16-mixed$"),
        ("trainer.precision=bf16-true", "expected auto, 32-true, bf16-mixed$"),
    ],
)
def test_what_a_single_run_refuses(text: str, said: str) -> None:
    given = [option for option in ("model=vae", "data=digits") if not text.startswith(option.split("=")[0] + "=")]
    with pytest.raises(UserError, match=said) as refused:
        config.check([*given, text], single=True)
    assert "\n" not in str(refused.value)


def test_a_class_of_others_is_refused_with_the_command_line() -> None:
    with pytest.raises(Untrusted, match="^model: _target_ 'os.system' is none of"):
        config.check(["model=uniform", "data=digits", "model._target_=os.system"], single=True)


@pytest.mark.parametrize("name", ["a/b/c", "'a#b'", "", "/a"])
def test_a_project_is_checked_with_the_command_line(name: str) -> None:
    with pytest.raises(UserError, match="expected <project> or <entity>/<project>"):
        config.check(["model=uniform", "data=digits", "logger=wandb", f"logger.project={name}"])
    assert config.check(["model=uniform", "data=digits", "logger=wandb", "logger.project=team/my proj"])


def test_hints_never_name_what_is_not_an_option() -> None:
    for text in ("model.latent_dim=2", "model.target=2", "model.training.optimizer.partial=1"):
        with pytest.raises(UserError) as refused:
            config.check(["model=uniform", "data=digits", text])
        assert "._" not in str(refused.value)
    with pytest.raises(UserError, match="^model.foo: there is no such option$"):  # and not: did you mean model?
        config.check(["model=uniform", "data=digits", "+model.foo=2"])


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Before anything is written; a file stands where the home folder would be, as root may write anywhere."""
    from genarena.run import run

    (tmp_path / "home").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GENARENA_CACHE")
    monkeypatch.setattr(cli, "_failures", [])
    root = pictures(tmp_path / "pictures")
    line = [
        "model=uniform",
        "data=image_folder",
        f"data.root={root}",
        "data.image_size=16",
        f"runs_dir={tmp_path}/runs",
    ]
    cli.attempt(run, config.compose(config.check(line)))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("error: ") and "set GENARENA_CACHE to a folder" in said
    assert [failure.exit_code for failure in cli._failures] == [2]
    assert not (tmp_path / "runs").exists()


def test_programs_of_an_installed_package(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["genarena", "evalute", "run=x"])
    with pytest.raises(SystemExit) as ended:
        cli.door()
    assert (
        ended.value.code == 2 and "evalute: there is no such program; did you mean evaluate?" in capsys.readouterr().err
    )
    monkeypatch.setattr(sys, "argv", ["genarena", "sample", "rum=x"])
    with pytest.raises(SystemExit) as ended:
        cli.door()
    assert ended.value.code == 2 and "rum=x: expected one of run=..." in capsys.readouterr().err
