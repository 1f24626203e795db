"""Checks a command line before heavy imports and before anything is written. Imports no torch.

Hydra accepts `+typo=1`, reads `epochs=yes` as a string and does not say which key was meant. Here every option is compared
with the composed configuration, and with the types of the constructor that the node names, or of its group (`options`).
"""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from genarena import metrics, plugins
from genarena.errors import UserError
from genarena.options import values
from genarena.options.devices import check_devices
from genarena.options.groups import GROUPS
from genarena.options.hints import flat, misspelt, nearest, told, unresolved, written
from genarena.options.networks import refuse_unused
from genarena.options.overrides import OF_THE_LINE, key_of, literal_path, parse
from genarena.options.overrides import values as values_of
from genarena.options.signatures import parameters
from genarena.startup import fast_yaml
from genarena.tracking import wandb_settings
from genarena.trust import refuse_foreign

SOURCE = Path(__file__).parent
CONF = SOURCE / "conf"  # in a checkout: a link to its folder `conf`
REQUIRED, MAY_BE_NULL = ("model", "data"), ("sweep", "experiment")
fast_yaml.install()
OmegaConf.register_new_resolver(  # ${folder:data,GENARENA_DATA}: path in the variable, else the default; absolute
    "folder",
    lambda default, variable="": str(values.from_environment(variable) or values.absolute(default)),
    replace=True,
)


class _Folders(SearchPathPlugin):
    """Makes Hydra search the folders of plugins too, after genarena's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in plugins.conf_folders():
            search_path.append(provider="genarena.plugins", path=f"file://{folder}")


Plugins.instance().register(_Folders)


def folders() -> list[Path]:
    """The folders of configurations: genarena's own, then those of plugins."""
    return [CONF, *plugins.conf_folders()]


def groups() -> list[str]:
    """The groups: names of the folders in `conf/`."""
    return sorted({path.name for folder in folders() for path in folder.iterdir() if path.is_dir()})


def is_group(key: str) -> bool:
    return any((folder / key).is_dir() for folder in folders())


def available(group: str) -> list[str]:
    """Names that can be chosen in a group of `conf/`."""
    return sorted({path.stem for folder in folders() for path in (folder / group).glob("*.yaml")})


def file_of(group: str, name: str) -> Path:
    """The YAML file of an existing name in a group."""
    paths = [folder / group / f"{name}.yaml" for folder in folders()]
    return next((path for path in paths if path.is_file()), paths[0])


def compose(overrides: list[str]) -> DictConfig:
    """The configuration of `python train.py <overrides>`, also set for Hydra's `${hydra:...}`. Raises UserError."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra_compose("train", overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise UserError(told(error)) from error
    HydraConfig.instance().set_config(cfg)  # keeps a copy of its own part
    OmegaConf.set_struct(cfg, None)
    del cfg["hydra"]
    return cfg


def check(given: Sequence[str], single: bool = False) -> list[str]:
    """The checked options in Hydra's grammar: paths absolute and in quotes, `+` before options that no YAML has.

    single: the line is for one run, so no option may have several values. Raises UserError, in one line.
    """
    for text in given:
        if not key_of(text) or ("=" not in text and not text.startswith("~")):
            raise UserError(f"{text}: expected <option>=<value>{nearest(text, groups()) if text else ''}")
    choices = {key_of(text): values_of(parse(text)) for text in given if is_group(key_of(text))}
    for group, names in choices.items():
        _check_choice(group, names)
    _check_required(choices, [key for text in given if "." not in (key := key_of(text)) and not is_group(key)])
    combinations = itertools.islice(itertools.product(*choices.values()), 64)
    lines = [[f"{group}={written(name)}" for group, name in zip(choices, names, strict=True)] for names in combinations]
    cfgs = [compose(line) for line in lines]
    texts = [_literal(text, cfgs[0]) for text in given]
    parsed = [parse(text) for text in texts]
    swept = [text for override, text in zip(parsed, given, strict=True) if override.is_sweep_override()]
    if single and swept:
        raise UserError(f"{swept[0]}: several values are for a sweep: python train.py -m {swept[0]} ...")
    for chosen, cfg in zip(lines, cfgs, strict=True):
        checked = [_check_override(cfg, o, text) for o, text in zip(parsed, texts, strict=True)]
        plain = [text for o, text in zip(parsed, checked, strict=True) if not o.is_sweep_override()]
        _check_whole([*chosen, *(text for text in plain if key_of(text) not in choices)], parsed)
    return checked


def _literal(text: str, cfg: DictConfig) -> str:
    """The override; if its value is a path, quoted for Hydra's grammar."""
    key = key_of(text)  # with several models or data sets, the first decides which options are paths
    if "=" not in text or is_group(key):
        return text
    place = OF_THE_LINE.get(key) or values.place_of(_options(cfg, key).get(key.split(".")[-1]))
    return literal_path(text, place) if place else text


# -- groups ------------------------------------------------------------------------------------------------------------


def _check_choice(group: str, names: list[Any]) -> None:
    for name in names:
        if name is None and group in MAY_BE_NULL:
            continue
        if name not in available(group):
            raise UserError(
                f"{group}={written(name)}: there is no such {group}{nearest(str(name), available(group))}; "
                f"available: {', '.join(available(group))}"
            )
        if len(found := [folder for folder in folders() if (folder / group / f"{name}.yaml").is_file()]) > 1:
            raise UserError(f"{group}={name}: there are two of that name, in {found[0]} and {found[1]}")


def _check_required(choices: dict[str, list[Any]], others: Sequence[str]) -> None:
    if "suite" in choices:
        raise UserError("suite=<name>: a suite is many runs: python scripts/benchmark.py suite=<name>")
    if "task" in choices:
        raise UserError("task=<name>: a task uses a finished run: python scripts/task.py task=<name> run=<run folder>")
    for group in REQUIRED:
        chosen_by = ("experiment", "sweep") if group == "model" else ("experiment",)
        if group not in choices and not any(name for by in chosen_by for name in choices.get(by, [])):
            missing = f"{group}=<name> is missing{misspelt(group, others)}"
            raise UserError(f"{missing}; available: {', '.join(available(group))}")


# -- the whole ---------------------------------------------------------------------------------------------------------


def _check_whole(overrides: list[str], given: Sequence[Override]) -> None:
    """Raise UserError for a configuration that is incomplete, or whose references cannot be resolved."""
    cfg, given_keys = compose(overrides), [override.key_or_group for override in given]
    for group, node in cfg.items():
        for key in node if isinstance(node, DictConfig) else ():
            if OmegaConf.is_missing(node, key) and f"{group}.{key}" not in given_keys:
                raise UserError(f"{group}.{key}=<value> is missing: {group}={cfg.choices[group]} needs it")
    if cfg.budget.minutes is None and cfg.budget.examples is None and cfg.budget.flops is None:
        raise UserError("budget.minutes=null, budget.examples=null, budget.flops=null: a budget needs one of them")
    wandb_settings.check_environment(OmegaConf.to_container(cfg.logger, resolve=True))
    if any(override.is_sweep_override() for override in given):
        return  # the sweep gives the missing values
    try:
        resolved = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(unresolved(error, given)) from error
    for group, node in resolved.items():
        refuse_foreign(node, group)
    for key in given_keys:
        if key.startswith("metric.") and key.split(".")[1] not in resolved["metrics"]:
            raise UserError(f"{key}: that metric is not asked for; add it to metrics=[{','.join(resolved['metrics'])}]")
    refuse_unused(resolved)
    check_devices(resolved["trainer"])


# -- one option --------------------------------------------------------------------------------------------------------


def _check_override(cfg: DictConfig, override: Override, text: str) -> str:
    key = override.key_or_group
    if key.split(".")[0].split("/")[0] == "hydra":
        raise UserError(f"{text}: Hydra's own settings are fixed; runs_dir=<folder> says where runs are kept")
    if is_group(key):
        return text
    if override.is_delete():
        raise UserError(f"~{key}: options cannot be removed")
    parent, last = _descend(cfg, key)
    options = _options(cfg, key)
    present = isinstance(parent, DictConfig) and last in parent
    if not (present or last in options):
        raise UserError(f"{key}: there is no such option{nearest(key, [*flat(cfg), *metrics.options()])}")
    default = OmegaConf.select(cfg, key) if present and not OmegaConf.is_missing(parent, last) else None
    for value in values_of(override):
        _check_value(key, value, options.get(last, values.Something), default)
    return text if present or override.is_add() else f"+{text}"


def _options(cfg: DictConfig, key: str) -> dict[str, Any]:
    """Option -> type for the node that has `key`, from its constructor or its group."""
    node, _ = _descend(cfg, key)
    if key.startswith(("metric.", "evidence.")) and key.count(".") == 2:
        return {key.split(".")[2]: metrics.check_option(key)}
    of_group = GROUPS.get(key.rpartition(".")[0], {})
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    if target is None:  # not every choice of a group has all of its options
        return {name: kind for name, kind in of_group.items() if isinstance(node, DictConfig) and name in node}
    return parameters(target)


def _descend(cfg: DictConfig, key: str) -> tuple[Any, str]:
    *path, last = key.split(".")
    node: Any = cfg
    for part in path:
        node = node[part] if isinstance(node, DictConfig) and part in node else None
    return node, last


def _check_value(key: str, value: Any, kind: Any, default: Any) -> None:
    if key in ("metrics", "budget.metrics"):
        metrics.check(value)
    if isinstance(default, DictConfig) and not isinstance(value, dict):
        if value is not None or type(None) not in values.alternatives(kind) or "_target_" not in default:
            option = next((name for name in default if not str(name).startswith("_")), "<option>")
            raise UserError(f"{key}={written(value)}: it has options of its own, e.g. {key}.{option}=...")
        return
    if not values.is_known(kind) and isinstance(default, bool | int | float | str):
        kind = type(default)
    if expected := values.refusal(value, kind):
        raise UserError(f"{key}={written(value)}: expected {expected}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key}={value}: expected a finite number")
    if OmegaConf.is_list(default) and not isinstance(value, list):
        raise UserError(f"{key}={written(value)}: expected a list, e.g. {key}=[{written(value)}]")
