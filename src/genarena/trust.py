"""What a configuration may name. Names are checked here, before any import; objects are checked in `build`. Imports no torch.

A run folder may come from anybody. Its `config.yaml` may name only parts of genarena, or of a plugin that this machine's user
has installed or named. It may not refer to environment variables, nor have options that affect more than the run itself.
"""

import re
from typing import Any

from genarena import plugins
from genarena.errors import Untrusted

OF_A_PACKAGE = r"(models|tasks)\.(\w+\.){1,2}[A-Z]\w*|(data|nets)\.[a-z]\w*\.[A-Z]\w*"  # genarena's, or a plugin's
TARGETS = re.compile(
    rf"genarena\.({OF_A_PACKAGE})"
    r"|genarena\.(training\.schedule|nets\.by_shape)\.[a-z]\w*"
    r"|genarena\.training\.optimisers\.[A-Z]\w*"
    r"|genarena\.(spec\.(DataSpec|Condition)|training\.module\.Training)"
    r"|genarena\.(evaluation\.(settings\.EvaluationSettings|weights\.FeatureSettings)|search\.settings\.Settings)"
    r"|torch\.optim\.[A-Z]\w*"
    r"|pytorch_lightning\.(Trainer|strategies\.[A-Z]\w*Strategy)"
)
ALLOWED = (
    "models, data sets, networks, tasks, schedules, optimisers and settings of genarena, torch.optim, "
    "pytorch_lightning.Trainer, and models, data sets, networks and tasks of a plugin, which is installed or named by "
    "--config-dir <package>/conf"
)
BEYOND = ("hydra", "launcher", "sweep", "resume")  # options that are dropped from a stored command line


def refuse_foreign(node: Any, what: str) -> None:
    """Raise Untrusted for a `_target_`, at any depth, that is not allowed; `what` names the file or the option."""
    if isinstance(node, list):
        for item in node:
            refuse_foreign(item, what)
    if not isinstance(node, dict):
        return
    if "_target_" in node and not _is_ours(node["_target_"]):
        raise Untrusted(f"{what}: _target_ {node['_target_']!r} is none of {ALLOWED}")
    for value in node.values():
        refuse_foreign(value, what)


def _is_ours(target: Any) -> bool:
    if not isinstance(target, str) or "._" in target:
        return False
    package, _, rest = target.partition(".")
    of_plugin = package in plugins.packages() and re.fullmatch(OF_A_PACKAGE, rest) is not None
    return of_plugin or TARGETS.fullmatch(target) is not None


def stored_overrides(overrides: Any, what: str) -> list[str]:
    """The command line of a run folder, without options that affect more than the run. Raises Untrusted for flags."""
    if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
        raise Untrusted(f"{what}: choices.overrides is not a list of options")
    if flags := [text for text in overrides if text.startswith("-")]:
        raise Untrusted(f"{what}: {flags[0]} is no option of a run")
    return [text for text in overrides if re.split(r"[./@=]", text.lstrip("+~"))[0] not in BEYOND]
