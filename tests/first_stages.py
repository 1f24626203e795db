"""What a model of two stages stands on in tests: an untrained `vae` or `vqvae`, or a finished run of one."""

from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from genarena.config import compose
from genarena.run import run
from genarena.runs import classes
from tests.run_folders import only_run

TINY = {
    "vae": {"hidden": 16, "channels": 4, "latent_dim": 4},
    "vqvae": {"hidden_channels": 8, "num_codes": 16, "dim": 4},
}


def stands(name: str) -> bool:
    """Whether the model of that name needs a first stage."""
    return OmegaConf.is_missing(compose([f"model={name}", "data=digits"]).model, "first_stage")


def foundation(name: str) -> str:
    """The name of the first model that the model of that name can stand on."""
    needs = get_object(compose([f"model={name}", "data=digits"]).model._target_).needs
    return next(
        first
        for first in TINY
        if issubclass(get_object(compose([f"model={first}", "data=digits"]).model._target_), needs)
    )


def standing(cfg: DictConfig) -> Any:
    """The model's node; where it needs a first stage, with a small untrained one of the same data, and where it speaks, with
    the characters of its data."""
    if cfg.data.get("condition") == "characters":
        cfg = OmegaConf.create(classes.resolved(OmegaConf.to_container(cfg, resolve=True)))
    if OmegaConf.is_missing(cfg.model, "first_stage"):
        name = foundation(cfg.choices.model)
        first = OmegaConf.load(Path(__file__).parents[1] / "conf" / "model" / f"{name}.yaml")
        plain = {key: first[key] for key in first if key not in ("defaults", "training", "spec", "sampler")}
        spec = OmegaConf.to_container(cfg.model.spec, resolve=True) | {"condition": None}
        first = {**plain, **TINY[name], "spec": spec}
        cfg.model.first_stage = {"_target_": "genarena.models.first_stage.FirstStage", "model": first, "name": name}
    return cfg.model


def finished_run(runs_dir: Path, name: str = "vae", *more: str) -> Path:
    """The folder of a finished run, of 64 digits."""
    sizes = [f"model.{option}={value}" for option, value in TINY[name].items()]
    options = ["budget=smoke", "budget.examples=64", "metrics=[bits_per_dim]", "callbacks.progress=false"]
    quiet = ["callbacks.grid_size=1", "logger=none", "model.training.batch_size=32", f"runs_dir={runs_dir}"]
    run(compose([f"model={name}", "data=digits", *sizes, *options, *quiet, *more]))
    return only_run(runs_dir, name)
