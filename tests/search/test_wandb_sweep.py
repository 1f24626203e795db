"""The W&B file searches what our own sweep searches, and every command that it leads to is one that train.py takes."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from genarena import config
from genarena.search.wandb_sweep import wandb_sweep
from tests.doors import script


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_every_command_is_one_that_train_takes(name: str) -> None:
    line = config.check([f"sweep={name}", "data=digits", "seed=3"])
    made, space = wandb_sweep(line), OmegaConf.to_container(config.compose(line).sweep.space)
    assert made["parameters"].keys() == space.keys()
    env, python, program, *fixed, arguments = made["command"]
    assert (env, python, program, arguments) == ("${env}", "python", "${program}", "${args_no_hyphens}")
    assert {"seed=3", "evaluation.split=val", "logger=wandb"} <= set(fixed)
    for end in (0, -1):
        values = {
            key: node["values"][end] if "values" in node else node[("min", "max")[end]]
            for key, node in made["parameters"].items()
        }
        assert config.check([*fixed, *(f"{key}={value}" for key, value in values.items())])
    assert made["metric"]["name"] == ("val/bits_per_dim" if name == "vae" else "validation/fd_domain")
    assert ("early_terminate" in made) == (name == "vae")


def test_ranges_and_choices_are_kept() -> None:
    made = wandb_sweep(config.check(["sweep=vae", "data=digits", "model.warmup=0.1", "sweep.trials=7"]))
    parameters = made["parameters"]
    assert "model.warmup" not in parameters and "model.warmup=0.1" in made["command"] and made["run_cap"] == 7
    assert parameters["model.training.optimizer.lr"] == {"distribution": "log_uniform_values", "min": 5e-4, "max": 1e-2}
    assert parameters["model.channels"] == {"values": ["16", "32", "64"]}
    codes = parameters["model.latent_dim"]["values"]
    assert (codes[0], codes[-1]) == (8, 128) and codes == sorted(codes) and all(isinstance(code, int) for code in codes)


def test_the_script_writes_a_file_that_yaml_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "s.yaml"
    done = script("wandb_sweep.py", "sweep=flow", "data=digits", f"out={out}")
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(out.read_text())
    assert made["command"][-1] == "${args_no_hyphens}" and made["program"] == "train.py"
    for wrong, words in (
        (["data=digits", "model=vae"], "sweep=<name> is missing"),
        (["sweep=flw", "data=digits"], "mean flow?"),
    ):
        refused = script("wandb_sweep.py", *wrong)
        assert refused.returncode == 2 and words in refused.stderr
    assert list(tmp_path.iterdir()) == [out]
