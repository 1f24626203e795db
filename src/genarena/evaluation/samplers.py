"""Samplers by their names in `conf/sampler`: which fit a model, and another one for a finished run."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from omegaconf import OmegaConf

from genarena import config
from genarena.build import build
from genarena.errors import UserError
from genarena.models.base import GenerativeModel
from genarena.options.hints import nearest, written
from genarena.options.signatures import parameters
from genarena.options.values import refusal
from genarena.trust import refuse_foreign


@dataclass(frozen=True)
class Chosen:
    """A sampler for a finished run. name: of its file; node: its class and options; variant: how its line is named."""

    name: str
    node: dict[str, Any]
    variant: tuple[str, ...]


def check(resolved: Mapping[str, Any]) -> None:
    """Raise UserError, before anything is built, if the sampler of a resolved configuration does not fit its model."""
    if not resolved.get("sampler"):
        return
    refuse_foreign({part: resolved[part] for part in ("model", "sampler")}, "sampler")
    name, model = resolved["choices"]["sampler"], _class(resolved["model"])
    _refuse_unfit(model, _class(resolved["sampler"]), f"sampler={name}", f"model={resolved['choices']['model']}")


def chosen(stored: Mapping[str, Any], options: Mapping[str, Any]) -> Chosen:
    """The sampler that `options` ("sampler": a name; "sampler.<option>") ask for, instead of the run's own.

    stored: the configuration of the run. Without a name, the options change the run's own sampler.
    Raises UserError for an unknown name or option, a wrong value, a sampler that does not fit, or the run's own one.
    """
    model, own, own_name = stored["choices"]["model"], stored.get("sampler"), stored["choices"].get("sampler")
    name = options.get("sampler") or own_name
    if name not in config.available("sampler"):
        known = config.available("sampler")
        reason = "this run's model has none" if name is None else f"there is no such sampler{nearest(str(name), known)}"
        raise UserError(f"sampler={written(name)}: {reason}; available: {', '.join(known)}")
    fresh = named(name)
    _refuse_unfit(_class(stored["model"]), _class(fresh), f"sampler={name}", f"model={model}")
    changes = {key.partition(".")[2]: value for key, value in options.items() if key != "sampler"}
    _check_options(fresh["_target_"], changes)
    node = (fresh if options.get("sampler") else own) | changes
    if node == own:
        raise UserError(f"sampler={name}: the run's own sampler, which its row is about; leave it out")
    usual = _usual(model)
    variant = [] if name == usual else [f"sampler={name}"]
    variant += [f"sampler.{key}={written(value)}" for key, value in sorted(node.items()) if value != fresh.get(key)]
    return Chosen(name, node, tuple(variant))


def use(model: GenerativeModel, choice: Chosen) -> None:
    """Make the model draw its samples with it. Raises UserError if it does not fit."""
    try:
        model.use(build(choice.node, "sampler"))
    except ValueError as error:
        raise UserError(str(error)) from error


def named(name: str) -> dict[str, Any]:
    """The node of `conf/sampler/<name>.yaml`."""
    return OmegaConf.to_container(
        config.compose(["model=uniform", "data=digits", f"sampler={name}"]).sampler, resolve=True
    )


def _usual(model: str) -> str | None:
    """The sampler that the model's YAML names."""
    return config.compose([f"model={model}", "data=digits"]).choices.sampler


def _refuse_unfit(model: type[GenerativeModel], sampler: type, asked: str, of: str) -> None:
    if model.samplers is not None and issubclass(sampler, model.samplers):
        return
    kind = model.samplers
    fitting = [name for name in config.available("sampler") if kind and issubclass(_class(named(name)), kind)]
    raise UserError(f"{asked}: does not fit {of}; that takes {', '.join(fitting) or 'no sampler: leave it out'}")


def _check_options(target: str, changes: Mapping[str, Any]) -> None:
    kinds = parameters(target)
    for key, value in changes.items():
        if key not in kinds:
            raise UserError(
                f"sampler.{key}: there is no such option{nearest(key, kinds)}; there are {', '.join(kinds)}"
            )
        if expected := refusal(value, kinds[key]):
            raise UserError(f"sampler.{key}={written(value)}: expected {expected}")


def _class(node: Mapping[str, Any]) -> type:
    """The class that a node names, whose target is trusted."""
    module, _, name = node["_target_"].rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"_target_ {node['_target_']}: {error}") from error
