"""What models can do in a task, read from their classes: no model is built, and no weights are loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.utils import get_object
from omegaconf import OmegaConf

from genarena import config
from genarena.errors import UserError
from genarena.models.base import GenerativeModel
from genarena.tasks.base import Algorithm
from genarena.trust import refuse_foreign

Algorithms = Sequence[type[Algorithm]]


@dataclass(frozen=True)
class Ability:
    """names: files of `conf/model` of one class. algorithms: those that fit it, the first is used."""

    model: type[GenerativeModel]
    names: tuple[str, ...]
    algorithms: tuple[type[Algorithm], ...]


def class_of(node: Mapping[str, Any], what: str) -> type:
    """The class that a node describes. Raises UserError where there is none, and Untrusted for one that is not allowed."""
    refuse_foreign(dict(node), what)
    try:
        return get_object(node["_target_"])
    except (ImportError, AttributeError, KeyError, ValueError) as error:
        raise UserError(f"{what}: {error}") from error


def target(group: str, name: str) -> dict[str, Any]:
    """The node of a file of `conf`, with the `_target_` of the file that it begins with."""
    node = OmegaConf.to_container(OmegaConf.load(config.file_of(group, name)))
    if "_target_" in node:
        return node
    parent = next(each for each in node.get("defaults", []) if isinstance(each, str) and each != "_self_")
    return {"_target_": target(group, parent)["_target_"]}


def abilities(algorithms: Algorithms) -> list[Ability]:
    """Of every class of `conf/model`, by family."""
    found: dict[type[GenerativeModel], list[str]] = {}
    for name, model in _models().items():
        found.setdefault(model, []).append(name)
    usual = [each() for each in algorithms]
    made = [
        Ability(model, tuple(names), tuple(type(each) for each in usual if each.fits(model)))
        for model, names in found.items()
    ]
    return sorted(made, key=lambda each: (each.model.family, each.names))


@cache
def _models() -> dict[str, type[GenerativeModel]]:
    names = [name for name in config.available("model") if name != "any_model"]
    return {name: class_of(target("model", name), f"model={name}") for name in names}
