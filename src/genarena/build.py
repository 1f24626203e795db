"""Builds the object that a configuration node describes: the only place that does so, and only for trusted targets."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import is_dataclass
from functools import lru_cache, partial
from importlib import import_module
from inspect import Parameter, isclass, isfunction, signature
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from genarena import plugins
from genarena.errors import ArenaError, Untrusted, UserError
from genarena.options import values
from genarena.options.hints import nearest
from genarena.trust import ALLOWED, refuse_foreign

KINDS = {  # prefix of a target -> the class that it must extend; "": it must be a function
    "genarena.training.schedule.": "",
    "genarena.nets.by_shape.": "",
    "genarena.training.optimisers.": "torch.optim.optimizer.Optimizer",
    "genarena.data.": "pytorch_lightning.core.datamodule.LightningDataModule",
    "genarena.": "torch.nn.modules.module.Module",
    "torch.optim.": "torch.optim.optimizer.Optimizer",
    "pytorch_lightning.strategies.": "pytorch_lightning.strategies.strategy.Strategy",
    "pytorch_lightning.": "pytorch_lightning.trainer.trainer.Trainer",
}


def build(node: DictConfig | dict[str, Any], what: str) -> Any:
    """The object that a node describes; `what` names it in errors.

    Raises Untrusted for a `_target_` that `genarena.trust` does not allow; UserError, with the innermost cause, if the
    constructor refuses its arguments.
    """
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if isinstance(plain, dict) and "_target_" not in plain:
        raise UserError(f"{what}: its YAML has no _target_, the class that is made of the other options")
    refuse_foreign(plain, what)
    for target in _targets(plain):
        _refuse_strangers(target, what)
    try:
        _check_options(plain, what)
        bound = _bind_partials(plain, what)
        return instantiate(bound, _convert_="all") if isinstance(bound, dict) else bound
    except ValueError as error:  # of `_check_options`
        raise UserError(str(error)) from error
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ArenaError):
            raise cause from None
        raise UserError(_keyed(_readable(cause), plain, what)) from error


def _bind_partials(node: Any, what: str) -> Any:
    """The node with every `_partial_` in it replaced by a plain `functools.partial`. Raises ValueError for an option that it
    does not take, which would be found out when it is called, and for an optimiser that no parameter can have.

    Hydra's own partial checks its target at every call: half a millisecond per step for a learning-rate schedule.
    """
    if isinstance(node, list):
        return [_bind_partials(item, f"{what}.{index}") for index, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    node = {key: _bind_partials(value, f"{what}.{key}") for key, value in node.items()}
    if not node.get("_partial_"):
        return node
    bound = instantiate(node, _convert_="all")
    _refuse_unknown(bound.func, bound.keywords, what)
    if "torch.optim.optimizer.Optimizer" in _extended(bound.func):
        _try_optimiser(bound, what)
    return partial(bound.func, *bound.args, **bound.keywords)


def _refuse_unknown(target: Any, options: dict[str, Any], what: str) -> None:
    known = signature(target).parameters
    if any(each.kind is Parameter.VAR_KEYWORD for each in known.values()):
        return
    for name in options:
        if name not in known:
            raise ValueError(
                f"{what}.{name}: {target.__name__} has no such option{nearest(name, known)}; ~{what}.{name} leaves it out"
            )


def _try_optimiser(make: partial, what: str) -> None:
    """Make one of a single number. Raises ValueError with the first option that it refuses, or with none where it refuses what
    they are together."""
    usual = {name: each.default for name, each in signature(make.func).parameters.items()}
    for name, value in make.keywords.items():
        if expected := _unlike(value, usual.get(name)):
            raise ValueError(f"{what}.{name}={_shown(value)}: {make.func.__name__}: expected {expected}")
    before, given = _refused(make.func, {}), {}
    for name, value in make.keywords.items():
        given[name] = value
        after = _refused(make.func, given)
        if after and not before:
            raise ValueError(f"{what}.{name}={_shown(value)}: {make.func.__name__}: {after}")
        before = after
    if before:
        raise ValueError(f"{what}: {make.func.__name__}: {before}")


def _unlike(value: Any, usual: Any) -> str:
    """A description of what is expected of an option without a type that can be checked; "" if `value` is of the same kind as
    its `usual` value: a number, or as many of them."""
    if isinstance(usual, tuple):
        alike = isinstance(value, list) and len(value) == len(usual) and not any(map(_unlike, value, usual))
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        alike = number or isinstance(usual, bool) or not isinstance(usual, int | float)
    return "" if alike else f"a value such as {list(usual) if isinstance(usual, tuple) else usual}"


def _refused(optimiser: Any, options: dict[str, Any]) -> str:
    """Why there is no such optimiser of a single number; "" if there is one."""
    import torch  # where there is an optimiser it is there

    try:
        optimiser([torch.nn.Parameter(torch.zeros(1))], **options)
    except Exception as error:  # torch checks some of its options, and trips over others
        return _readable(error)
    return ""


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _extended(found: Any) -> set[str]:
    """Names of a class and all classes that it extends; none for other objects."""
    return {f"{base.__module__}.{base.__qualname__}" for base in found.__mro__} if isclass(found) else set()


def _check_options(node: Any, what: str) -> None:
    """Raise ValueError, with the allowed range, for an option outside the range in its constructor's signature."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        _check_options(value, f"{what}.{key}")
    if isinstance(node, dict) and "_target_" in node:
        with suppress(ImportError):  # reported by `instantiate`, with its cause
            values.check(_found(node["_target_"]), node, what)


def _found(target: str) -> Any:
    """The object of a dotted name. Raises ImportError if there is none."""
    try:
        return get_object(target)
    except Exception as error:
        raise ImportError(target) from error


def _keyed(text: str, node: Any, what: str) -> str:
    """The text of an error of a constructor. Where it begins with `<name>=<value>`, and one option of the node and its parts is
    that, with the key of this option."""
    if text.startswith(f"{what}."):
        return text
    name, _, rest = text.partition("=")
    found = [key for key, value in _named(node, name, what) if re.match(rf"{re.escape(_shown(value))}(?![\w.])", rest)]
    return f"{found[0]}={rest}" if len(found) == 1 else f"{what}: {text}"


def _named(node: Any, name: str, what: str) -> Iterator[tuple[str, Any]]:
    """Key and value of every option of this name in a node and its parts."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == name:
            yield f"{what}.{key}", value
        yield from _named(value, name, f"{what}.{key}")


def _readable(cause: BaseException) -> str:
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__


@lru_cache
def _refuse_strangers(target: str, what: str) -> None:
    """Raise Untrusted unless the target extends the class that `KINDS` requires, and is defined in its own package."""
    try:
        found = _found(target)
    except ImportError:  # reported by `instantiate`, with its cause
        _refuse_misspelt(target, what)
        return
    package, _, rest = target.partition(".")
    place = f"genarena.{rest}" if package in plugins.packages() else target
    kind = next(kind for prefix, kind in KINDS.items() if place.startswith(prefix))
    if not kind:
        fits = isfunction(found) and f"{found.__module__}.{found.__name__}" == target
    elif isclass(found) and found.__module__.split(".")[0] == package:
        fits = kind in _extended(found) or (
            is_dataclass(found) and place.startswith("genarena.")
        )  # dataclasses of settings
    else:
        fits = False
    if not fits:
        raise Untrusted(f"{what}: _target_ {target!r} is none of {ALLOWED}")


def _refuse_misspelt(target: str, what: str) -> None:
    """Raise UserError if the target's module can be imported but has no such name."""
    module, _, name = target.rpartition(".")
    try:
        names = vars(import_module(module))
    except Exception:  # reported by `instantiate`, with its cause
        return
    if name not in names:
        raise UserError(f"{what}: _target_ {target}: {module} has no {name}{nearest(name, names)}")


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and "_target_" in node:
        yield node["_target_"]
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _targets(value)
