"""Configuration node -> object. The only place that instantiates, and only what the project trusts."""

from functools import lru_cache, partial
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from genarena.errors import ArenaError, Untrusted, UserError

TRUSTED = ("genarena.", "torch.optim.", "pytorch_lightning.", "torchmetrics.")


def build(node: DictConfig | dict[str, Any], what: str) -> Any:
    """The object a node describes; `what` names it in errors.

    Raises Untrusted for a `_target_` outside genarena, torch.optim, pytorch_lightning and torchmetrics, and UserError
    with the innermost cause where the constructor refuses its arguments.
    """
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    _refuse_foreign(plain, what)
    try:
        plain = _bind_partials(plain)
        return instantiate(plain, _convert_="all") if isinstance(plain, dict) else plain
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ArenaError):
            raise cause from None
        raise UserError(f"{what}: {_readable(cause)}") from error


def _bind_partials(node: Any) -> Any:
    """The node with every `_partial_` in it as an ordinary `functools.partial`.

    Hydra's own checks its target again at every call, which costs a learning-rate schedule half a millisecond a step.
    """
    if isinstance(node, list):
        return [_bind_partials(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _bind_partials(value) for key, value in node.items()}
    if not node.get("_partial_"):
        return node
    bound = instantiate(node, _convert_="all")
    return partial(bound.func, *bound.args, **bound.keywords)


def _readable(cause: BaseException) -> str:
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__


def _refuse_foreign(node: Any, what: str) -> None:
    if isinstance(node, list):
        for item in node:
            _refuse_foreign(item, what)
    if not isinstance(node, dict):
        return
    if "_target_" in node and not (isinstance(node["_target_"], str) and _trusted(node["_target_"])):
        raise Untrusted(f"{what}: _target_ {node['_target_']!r} is outside {', '.join(TRUSTED)}")
    for value in node.values():
        _refuse_foreign(value, what)


@lru_cache
def _trusted(target: str) -> bool:
    """A dotted path under a trusted package that does not wander out through a module's own imports."""
    if not target.startswith(TRUSTED):
        return False
    parts = target.split(".")
    return all(part.isidentifier() and not part.startswith("_") for part in parts) and not _leaves_home(target)


def _leaves_home(target: str) -> bool:
    """`genarena.run.os.system` begins well and ends elsewhere: the object must be defined under the package it names."""
    from hydra.utils import get_object

    try:
        home = get_object(target).__module__
    except Exception:  # a broken import is reported by `instantiate`, with its cause
        return False
    return not f"{home}.".startswith(TRUSTED)
