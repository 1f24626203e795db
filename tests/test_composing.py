"""What tests remember of configurations is what Hydra composes: in copies, and only for the files as they are."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from omegaconf import OmegaConf

from genarena import config
from tests.conftest import ROOT

LINES = (
    ["model=vae", "data=digits", "seed=3", "metric.c_t.k=2", "+more={a: 1}"],
    ["model=vae", "seed=4", "data=mnist", "net=unet", "~metric.c_t", "logger=[csv,wandb]"],
    ["sweep=vae", "data=digits", "experiment=null"],
)
COMPOSES = """
import sys
from omegaconf import OmegaConf
from genarena.config import compose
for line in eval(sys.argv[1]):
    try:
        print(repr(OmegaConf.to_yaml(compose(line))))
    except Exception as error:
        print(repr(str(error)))
"""


def composed(line: list[str]) -> str:
    try:
        return OmegaConf.to_yaml(config.compose(line))
    except Exception as error:
        return str(error)


def test_it_is_what_hydra_composes_without_it() -> None:
    lines = [line for line in LINES for _ in range(2)]
    plain = subprocess.run([sys.executable, "-c", COMPOSES, repr(lines)], capture_output=True, text=True, check=True)
    assert [repr(composed(line)) for line in lines] == plain.stdout.splitlines()


def test_a_change_of_one_is_not_seen_in_the_next() -> None:
    first = config.compose(["model=vae", "data=digits"])
    first.model.latent_dim = 77
    assert config.compose(["model=vae", "data=digits"]).model.latent_dim != 77


def test_a_file_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CONF", copytree(ROOT / "conf", tmp_path / "conf"))
    file = config.file_of("model", "vae")
    for size in (7, 123):
        text = [line for line in file.read_text().splitlines() if not line.startswith("latent_dim:")]
        file.write_text("\n".join([*text, f"latent_dim: {size}"]))
        for seed in (1, 2):
            assert config.compose(["model=vae", "data=digits", f"seed={seed}"]).model.latent_dim == size
