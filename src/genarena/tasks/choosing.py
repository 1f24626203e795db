"""Tasks and algorithms by their names in `conf/task` and `conf/algorithm`, with options of a command line. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from genarena import config
from genarena.errors import UserError
from genarena.options.hints import nearest, written
from genarena.options.signatures import parameters
from genarena.options.values import refusal


def chosen(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The node of `conf/task/<name>.yaml` with the options of the task, `algorithm` and `algorithm.<option>`.

    Raises UserError for an unknown task, algorithm or option, or a value of the wrong type.
    """
    own = {key: value for key, value in options.items() if key.partition(".")[0] != "algorithm"}
    of_algorithm = {key.removeprefix("algorithm."): value for key, value in options.items() if "." in key}
    node = _with("task", name, own)
    if (wanted := options.get("algorithm")) is not None:
        node["algorithm"] = _with("algorithm", wanted, of_algorithm)
    elif of_algorithm:
        option = next(iter(of_algorithm))
        raise UserError(f"algorithm.{option}: name the algorithm too, algorithm=<name>")
    return node


def _with(group: str, name: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """A node of `conf/<group>` with options."""
    known, prefix = config.available(group), "" if group == "task" else f"{group}."
    if name not in known:
        raise UserError(
            f"{group}={name}: there is no such {group}{nearest(str(name), known)}; available: {', '.join(known)}"
        )
    node = OmegaConf.to_container(OmegaConf.load(config.file_of(group, name)), resolve=True)
    kinds = {option: kind for option, kind in parameters(node["_target_"]).items() if option != "algorithm"}
    for option, value in options.items():
        if option not in kinds:
            listed = ", ".join(kinds) or "none"
            raise UserError(f"{prefix}{option}: there is no such option{nearest(option, kinds)}; there are {listed}")
        taken = _listed(value) if isinstance(node.get(option), list) else value
        if expected := refusal(taken, kinds[option]):
            raise UserError(f"{prefix}{option}={written(value)}: expected {expected}")
        node[option] = taken
    return node


def _listed(value: Any) -> list[Any]:
    """A list, also where it is written without brackets: 0.1,0.25."""
    if isinstance(value, str) and "," in value:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"v=[{value}]"]))["v"]
    return value if isinstance(value, list) else [value]
