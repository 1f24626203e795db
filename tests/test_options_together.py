"""What a command line says beyond its own options: Hydra's settings, a run to go on with, variables, a model's defaults."""

import re
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from genarena import cli, config, plugins
from genarena.build import build
from genarena.config import compose
from genarena.errors import UserError
from genarena.training.module import Training


@pytest.mark.parametrize(
    "text", ["hydra.run.dir=x", "hydra/launcher=basic", "+hydra.x=1", "~hydra.run", "hydra.mode=MULTIRUN"]
)
def test_hydras_own_settings_are_fixed(text: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(text)}: Hydra's own settings are fixed"):
        config.check(["model=vae", "data=digits", text])


@pytest.mark.parametrize("place", ["runs", "deep/er"])
def test_a_resumed_run_stays_in_its_folder(place: str, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "digits" / "uniform" / "0"
    run.mkdir(parents=True)
    cfg = compose(["model=uniform", "data=digits", f"runs_dir={tmp_path}/runs"])
    OmegaConf.save(OmegaConf.to_container(cfg, resolve=True), run / "config.yaml")
    assert f"runs_dir={tmp_path}/runs" in cli.expand_resume([f"resume={run}"])
    assert cli.expand_resume([f"resume={run}", f"runs_dir={tmp_path}/runs"])
    with pytest.raises(UserError, match="^runs_dir=other: resume=.* goes on in its own folder"):
        cli.expand_resume([f"resume={run}", "runs_dir=other"])


def test_a_search_or_sweep_asks_for_wandbs_address_before_its_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("https_proxy", "http://user:secret@host:port")
    for words in (["-m", "model=uniform,gaussian", "seed=0,1"], ["sweep=vae"], ["-m", "model=vae", "logger=csv,wandb"]):
        logger = [] if "logger=csv,wandb" in words else ["logger=wandb"]
        monkeypatch.setattr(sys, "argv", ["train.py", *words, "data=digits", *logger, f"runs_dir={tmp_path}/runs"])
        with pytest.raises(SystemExit) as ended:
            cli.start(lambda: None)
        said = capsys.readouterr().err
        assert ended.value.code == 2 and said.startswith("error: https_proxy: is no address") and "secret" not in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("node", ["", "training: {ema_decay: 0.9}\n"])
def test_a_model_yaml_may_leave_out_how_it_is_trained(
    node: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "plain.yaml").write_text(
        f"_target_: genarena.models.baseline.uniform.Uniform\nspec: ${{data.spec}}\n{node}"
    )
    monkeypatch.setattr(plugins, "conf_folders", lambda: [tmp_path])
    config.check(["model=plain", "data=digits", "model.training.accumulate=2"], single=True)
    cfg = compose(["model=plain", "data=digits"])
    trained = build(cfg.model, "model").settings
    assert trained.batch_size == cfg.data.batch_size == Training().batch_size
    assert trained.ema_decay == (0.9 if node else None)
