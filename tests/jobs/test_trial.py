"""What a trial says is what a run then takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from genarena.config import compose
from genarena.jobs import trial
from genarena.run import run


def configuration(*overrides: str) -> dict:
    return OmegaConf.to_container(compose(["data=digits", "budget=smoke", *overrides]), resolve=True)


@pytest.mark.parametrize("model", ["vae", "dcgan"])
def test_sizes_are_those_of_the_files(model: str, tmp_path: Path) -> None:
    found = trial.measure(configuration(f"model={model}"))
    run(
        compose(
            [
                f"model={model}",
                "data=digits",
                "budget=smoke",
                "budget.examples=128",
                "model.training.batch_size=32",
                "metrics=[]",
                "callbacks.progress=false",
                "logger=none",
                f"runs_dir={tmp_path}",
            ]
        )
    )
    (folder,) = tmp_path.glob("digits/*/*/checkpoints")
    written = {path.name: path.stat().st_size for path in folder.iterdir() if path.suffix in (".ckpt", ".safetensors")}
    kept = [size for name, size in written.items() if not name.startswith("chosen")]
    assert len(kept) == found["checkpoints"]
    assert kept == pytest.approx([found["checkpoint_bytes"]] * len(kept), rel=0.05)
    assert written["chosen.safetensors"] == pytest.approx(found["weight_bytes"], rel=0.05)
    assert found["example_seconds"] > 0 and found["sample_seconds"] > 0
    assert (found["likelihood_seconds"] > 0) == (model == "vae")
    assert found["memory_mb"] > 50


def test_models_that_read_captions_are_measured() -> None:
    found = trial.measure(configuration("model=vae", "data=scenes", "data.condition=caption"))
    assert min(found["example_seconds"], found["sample_seconds"], found["likelihood_seconds"]) > 0


@pytest.mark.slow
def test_every_member_is_measured_or_says_why_not() -> None:
    """In a process of its own, one line each, in order."""
    cfgs = [configuration("model=made"), configuration("model=glow"), configuration("model=heldout")]
    cfgs[1]["model"]["spec"]["shape"] = [2]
    done = subprocess.run(
        [sys.executable, "-m", "genarena.jobs.trial"], input=json.dumps(cfgs), capture_output=True, text=True
    )
    made, glow, heldout = map(json.loads, done.stdout.splitlines())
    assert "shape (2,)" in glow["error"]
    assert made["passes"] is None and made["startup_seconds"] > 0
    assert heldout["passes"] == 0 and heldout["checkpoint_bytes"] < 10 * 2**20
