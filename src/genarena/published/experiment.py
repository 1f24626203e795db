"""A published setting, `conf/experiment/<name>.yaml`, and the options that may be changed. Imports no torch."""

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from genarena import config
from genarena.errors import UserError

ELSEWHERE = (
    "data.root",
    "trainer",
    "trainer.",
    "logger",
    "callbacks.progress",
    "runs_dir",
    "features.",
)  # options that do not change the setting


def setting(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The resolved configuration of an experiment. Raises UserError for an override that would change the setting."""
    for text in overrides:
        key = text.partition("=")[0]
        if not key.startswith(tuple(part for part in ELSEWHERE if part.endswith("."))) and key not in ELSEWHERE:
            raise UserError(f"{text}: an experiment pins its setting; what may be given is {', '.join(ELSEWHERE)}")
    return OmegaConf.to_container(config.compose(config.check([f"experiment={name}", *overrides])), resolve=True)
