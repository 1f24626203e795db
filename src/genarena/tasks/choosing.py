"""Tasks by their names in `conf/task`, and their options from a command line. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from genarena import config
from genarena.errors import UserError
from genarena.options.hints import nearest, written
from genarena.options.signatures import parameters
from genarena.options.values import refusal


def chosen(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The node of `conf/task/<name>.yaml` with the options ("task.<option>"). Raises UserError for an unknown task or option,
    or a value of the wrong type."""
    known = config.available("task")
    if name not in known:
        raise UserError(f"task={name}: there is no such task{nearest(name, known)}; available: {', '.join(known)}")
    node = OmegaConf.to_container(OmegaConf.load(config.file_of("task", name)), resolve=True)
    kinds = parameters(node["_target_"])
    for key, value in options.items():
        option = key.removeprefix("task.")
        if option not in kinds:
            raise UserError(f"{key}: there is no such option{nearest(option, kinds)}; there are {', '.join(kinds)}")
        taken = _listed(value) if isinstance(node[option], list) else value
        if expected := refusal(taken, kinds[option]):
            raise UserError(f"{key}={written(value)}: expected {expected}")
        node[option] = taken
    return node


def _listed(value: Any) -> list[Any]:
    """A list, also where it is written without brackets: 0.1,0.25."""
    if isinstance(value, str) and "," in value:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"v=[{value}]"]))["v"]
    return value if isinstance(value, list) else [value]
