"""A model that stands on a finished run: what is checked first, what is recorded, and that the pair needs the first folder no
more."""

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from genarena import api
from genarena.config import check, compose
from genarena.errors import ArenaError, Untrusted, UserError
from genarena.leaderboard.runs import Run
from genarena.models.vae.vae import VAE
from genarena.run import run
from genarena.runs import checkpoint, results
from genarena.runs.folder import RunFolder
from genarena.runs.past import find_run
from tests.first_stages import finished_run
from tests.run_folders import only_run


def command(runs_dir: Path, first: Path, *more: str) -> list[str]:
    options = [
        "budget=smoke",
        "budget.examples=128",
        "metrics=[bits_per_dim]",
        "callbacks.progress=false",
        "logger=none",
    ]
    sizes = ["model.training.batch_size=32", "net.hidden_channels=16", "callbacks.grid_size=1"]
    return [
        "model=latent_ddpm",
        f"model.first_stage={first}",
        "data=digits",
        f"runs_dir={runs_dir}",
        *options,
        *sizes,
        *more,
    ]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def pair(first: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, RunFolder]:
    runs_dir = tmp_path_factory.mktemp("pair")
    return run(compose(command(runs_dir, first))), RunFolder.open(only_run(runs_dir))


def test_row_names_the_first_stage_and_has_its_cost(pair: tuple[dict, RunFolder], first: Path) -> None:
    row, folder = pair
    before = results.read_row(first / "result.json")
    assert row == results.read_row(folder.result)
    assert row["first_stage"]["run"] == first.name
    assert row["first_stage"]["sha256"] == checkpoint.seal(RunFolder(first).chosen).read_text().split()[0]
    costs = ("examples_seen", "train_seconds", "train_flops")
    assert row["cost"]["first_stage"] == {key: before["cost"][key] for key in costs}
    shown = Run(row, folder.path)
    assert shown.name.startswith("latent_ddpm model.first_stage=vae ") and str(first) not in shown.name
    assert shown.value("examples_seen") == 128 + 64
    trained = sum(p.numel() for p in api.load(folder.path).prior.parameters())
    assert row["cost"]["parameters"] == trained
    assert row["metrics"]["bits_per_dim"]["likelihood"] == "lower_bound"


def test_weights_of_the_first_stage_do_not_change(pair: tuple[dict, RunFolder], first: Path) -> None:
    expected = api.load(first).state_dict()
    for path in (pair[1].chosen, pair[1].last):
        stored = checkpoint.load(path)["state_dict"]
        found = {key: stored[f"first_stage.model.{key}"] for key in expected}
        assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert stored["first_stage.scale"] != 1.0


def test_training_examples_are_encoded_once(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    posterior = VAE.posterior

    def counted(self: VAE, x: torch.Tensor, y: torch.Tensor | None = None) -> object:
        seen.append(len(x))
        return posterior(self, x, y)

    monkeypatch.setattr(VAE, "posterior", counted)
    monkeypatch.setattr("genarena.training.module.TrainedModule.validation_step", lambda self, batch, batch_idx: None)
    options = {"model.first_stage": str(first), "model.training.batch_size": 32, "net.hidden_channels": 16}
    fitted = api.fit("latent_ddpm", "digits", examples=5000, options=options)
    assert fitted.cost["examples_seen"] >= 5000 > 3 * fitted.data.train.size
    assert sum(seen) - 2 == fitted.data.train.size


@pytest.mark.parametrize("resumed", [False, True])
def test_pair_lives_without_the_first_folder(first: Path, tmp_path: Path, resumed: bool) -> None:
    gone = tmp_path / "gone"
    shutil.copytree(first, gone)
    run(compose(command(tmp_path / "runs", gone)))
    folder = only_run(tmp_path / "runs")
    before = api.sample(folder, 3, seed=1)
    shutil.rmtree(gone)
    if resumed:
        row = run(compose([*command(tmp_path / "runs", gone), f"resume={folder}", "budget.examples=256"]))
        assert row["status"] == "ok" and row["cost"]["examples_seen"] == 256
        assert row["first_stage"]["run"] == "gone"
    else:
        assert torch.equal(api.sample(folder, 3, seed=1), before)
        assert api.rescore(folder)["metrics"]["bits_per_dim"]["value"] > 0


def test_same_run_is_found_again_wherever_its_first_stage_lies(
    pair: tuple[dict, RunFolder], first: Path, tmp_path: Path
) -> None:
    runs_dir = pair[1].path.parents[2]
    moved = tmp_path / "moved"
    shutil.copytree(first, moved)
    assert find_run(resolved(command(runs_dir, moved))) == pair[1].path
    other = finished_run(tmp_path / "other", "vae", "seed=1")
    assert find_run(resolved(command(runs_dir, other))) is None


def resolved(overrides: list[str]) -> dict:
    return OmegaConf.to_container(compose(overrides), resolve=True)


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def failed(first: Path) -> None:
    row = results.read_row(first / "result.json")
    results.write_row(row | {"status": "failed", "error": "killed"}, first / "result.json")


def rowless(first: Path) -> None:
    (first / "result.json").unlink()


def stranger(first: Path) -> None:
    text = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(text.replace("genarena.models.vae.vae.VAE", "os.system"))


def without_data_id(first: Path) -> None:
    text = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(text.replace("data_id:", "other_id:"))


WRONG = {  # what was done to the folder -> the error, and a part of its text
    "failed": (failed, UserError, "that run has no result: failed, killed"),
    "unfinished": (rowless, UserError, "has not finished"),
    "missing": (shutil.rmtree, UserError, "there is no run"),
    "damaged weights": (lambda path: flip(RunFolder(path).chosen), Untrusted, "is damaged"),
    "damaged row": (lambda path: flip(path / "result.json"), ArenaError, "result.json"),
    "no weights": (lambda path: RunFolder(path).chosen.unlink(), Untrusted, "cannot be read"),
    "unknown data": (without_data_id, UserError, "does not say which data"),
    "not ours": (stranger, Untrusted, "os.system"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_bad_first_stages_are_refused_before_anything_is_written(wrong: str, first: Path, tmp_path: Path) -> None:
    harm, kind, text = WRONG[wrong]
    broken = tmp_path / "broken"
    shutil.copytree(first, broken)
    harm(broken)
    with pytest.raises(kind, match=text) as caught:
        run(compose(command(tmp_path / "runs", broken)))
    assert str(caught.value).startswith(f"model.first_stage={broken}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("options", [["+data.max_train=500"], ["data.spec.num_levels=18"]])
def test_a_first_stage_of_other_data_is_refused(options: list[str], first: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^model\.first_stage.* (trained on digits|of other data)"):
        run(compose(command(tmp_path / "runs", first, *options)))
    assert not (tmp_path / "runs").exists()


def test_option_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    line = ["model=latent_ddpm", "data=digits"]
    assert check([*line, "model.first_stage=a,b"])[-1].lstrip("+") == f"model.first_stage='{tmp_path}/a,b'"
    assert check([*line, "model.first_stage=~/a"])[-1].lstrip("+") == f"model.first_stage={tmp_path}/me/a"
    with pytest.raises(UserError, match=r"model\.first_stage=<value> is missing"):
        check(line)
