"""Makes a W&B sweep file from `conf/sweep/<name>.yaml`: the same options, ranges and objective. Imports no torch."""

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from genarena import config
from genarena.search.settings import prepared
from genarena.search.space import Dimension
from genarena.tracking import wandb_settings

STEPS = 9  # number of values that replace a logarithmic range of whole numbers


def wandb_sweep(overrides: Sequence[str]) -> dict[str, Any]:
    """The content of the file for a checked command line `sweep=<name> data=... ...`."""
    cfg = OmegaConf.to_container(config.compose([*overrides, "logger=wandb"]), resolve=True)
    settings, fixed, space = prepared(overrides, cfg)
    judged_by = f"validation/{settings.objectives[0]}"
    watched = settings.prune_by is not None and settings.prune_by.split("/")[-1] == settings.objectives[0]
    entity, project = wandb_settings.names(cfg["logger"])
    goal = "minimize" if settings.minimize else "maximize"
    made = {"entity": entity} if entity else {}
    made |= {
        "program": "train.py",
        "method": "bayes",
        "name": settings.name,
        "project": project,
        "run_cap": settings.trials,
        "metric": {"name": settings.prune_by if watched else judged_by, "goal": goal},
        "parameters": {dimension.key: _parameter(dimension) for dimension in space.values()},
        "command": ["${env}", "python", "${program}", *_with_wandb(fixed), "${args_no_hyphens}"],
    }
    return made | ({"early_terminate": {"type": "hyperband", "min_iter": 2}} if watched else {})


def _with_wandb(fixed: Sequence[str]) -> list[str]:
    return [*(text for text in fixed if not text.startswith("logger=")), "logger=wandb"]


def _parameter(dimension: Dimension) -> dict[str, Any]:
    if dimension.choices:
        return {"values": list(dimension.choices)}
    if dimension.whole and dimension.log:  # W&B's logarithmic ranges give floats
        ratio = dimension.high / dimension.low
        return {"values": sorted({round(dimension.low * ratio ** (step / (STEPS - 1))) for step in range(STEPS)})}
    kind = "int_uniform" if dimension.whole else "log_uniform_values" if dimension.log else "uniform"
    return {"distribution": kind, "min": dimension.low, "max": dimension.high}
