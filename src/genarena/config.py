"""Checks a command line before anything heavy is imported and before anything is written. No torch here.

Hydra accepts `+typo=1`, takes `epochs=yes` for a string and hides which key was meant. Here every override is compared
with the composed configuration and, where the node has a genarena `_target_`, with the constructor's signature, which
is read from the source file without importing it.
"""

import ast
import difflib
import itertools
import math
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genarena import metrics
from genarena.errors import UserError

SOURCE = Path(__file__).parent
CONF = SOURCE.parents[1] / "conf"
REQUIRED = ("model", "data")

# What a value may be, by the last part of its key (the first that fits): the project's names are regular (DESIGN, Names).
RANGES: list[tuple[str, float, float]] = [
    (r"seed|sample_seed", 0, 2**32 - 1),
    (r"max_(train|val|test)|image_size", 1, float("inf")),
    (r"max_skips|max_rollbacks|warmup_steps|temperature|weight_decay|free_bits|beta|num_workers", 0, float("inf")),
    (
        r"(num|n)_\w+|\w*_channels|channels|\w*_dim|\w*_size|batch_size|accumulate|examples|validations|nfe|iw_samples",
        1,
        float("inf"),
    ),
    (r"slots|nodes|trials|startup", 1, float("inf")),
    (r"lr|minutes|gradient_clip|\w*timeout", 1e-12, float("inf")),
    (r"dropout|warmup|ema_decay|lr_factor", 0, 1),
]
ALLOWED = {
    "trainer.precision": ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true"),
    "data.on_error": ("raise", "skip"),
    "data.decode": ("auto", "once", "always"),
    "evaluation.split": ("test", "val"),
    "trainer.accelerator": ("cpu", "gpu", "cuda", "mps", "auto"),
    "trainer.strategy": (None, "ddp", "fsdp"),
    "logger.kind": ("csv", "wandb", "tensorboard", "none"),
}
# Of Lightning's Trainer: the budget says how long to train, and run.py when to validate and where to write.
TRAINER = ("deterministic", "benchmark", "detect_anomaly", "profiler")


def available(group: str) -> list[str]:
    """Names that can be chosen in a group of `conf/`."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def compose(overrides: list[str]) -> DictConfig:
    """The configuration that `python train.py <overrides>` would run with, also known to Hydra's `${hydra:...}`."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra_compose("train", overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(str(error).strip().splitlines()[0]) from error
    HydraConfig.instance().set_config(cfg)
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])


def check(overrides: list[str]) -> list[str]:
    """The overrides, with `+` put before constructor options that a YAML leaves out. Raises UserError in one line."""
    parsed = [_parse(text) for text in overrides]
    choices = {o.key_or_group: _values(o) for o in parsed if (CONF / o.key_or_group).is_dir()}
    for group, names in choices.items():
        for name in names:
            if name is not None and name not in available(group):
                raise UserError(
                    f"{group}={name}: there is no such {group}{nearest(str(name), available(group))}; "
                    f"available: {', '.join(available(group))}"
                )
    if "suite" in choices:
        raise UserError("suite=<name>: a suite is many runs: python scripts/benchmark.py suite=<name>")
    for group in REQUIRED:
        chosen_by = ("experiment", "sweep") if group == "model" else ("experiment",)
        if group not in choices and not any(name for by in chosen_by for name in choices.get(by, [])):
            raise UserError(f"{group}=<name> is missing; available: {', '.join(available(group))}")
    for combination in itertools.islice(itertools.product(*choices.values()), 64):
        chosen = [
            f"{group}={'null' if name is None else name}" for group, name in zip(choices, combination, strict=True)
        ]
        cfg = compose(chosen)
        checked = [_check_override(cfg, o, text) for o, text in zip(parsed, overrides, strict=True)]
        plain = [text for o, text in zip(parsed, checked, strict=True) if not o.is_sweep_override()]
        whole = compose([*chosen, *(text for text in plain if text.split("=")[0].lstrip("+") not in choices)])
        _check_complete(whole, [o.key_or_group for o in parsed])
        if whole.budget.minutes is None and whole.budget.examples is None:
            raise UserError("budget.minutes=null, budget.examples=null: a budget needs one of them")
    return checked


def _check_complete(cfg: DictConfig, given: list[str]) -> None:
    """Raise UserError for options that a YAML leaves to the user and that are not among the `given` (swept) ones."""
    for group, node in cfg.items():
        for key in node if isinstance(node, DictConfig) else ():
            if OmegaConf.is_missing(node, key) and f"{group}.{key}" not in given:
                raise UserError(f"{group}.{key}=<value> is missing: {group}={cfg.choices[group]} needs it")


def _parse(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise UserError(f"{text}: {str(error).strip().splitlines()[0]}") from error


def _values(override: Override) -> list[Any]:
    if override.is_sweep_override():
        return [
            _plain(OverridesParser.create().parse_override(f"k={v}").value()) for v in override.sweep_string_iterator()
        ]
    return [_plain(override.value())]


def _plain(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _check_override(cfg: DictConfig, override: Override, text: str) -> str:
    key = override.key_or_group
    if (CONF / key).is_dir() or key.startswith(("hydra.", "hydra/")):  # Hydra checks its own
        return text
    if override.is_delete():
        raise UserError(f"~{key}: options cannot be removed")
    parent, last = _descend(cfg, key)
    options = _constructor(parent.get("_target_")) if isinstance(parent, DictConfig) else {}
    present = isinstance(parent, DictConfig) and last in parent
    if not (present or last in options):
        raise UserError(f"{key}: there is no such option{nearest(key, _flat(cfg))}")
    default = OmegaConf.select(cfg, key) if present and not OmegaConf.is_missing(parent, last) else None
    for value in _values(override):
        _check_value(key, value, options.get(last, ()), default)
    return text if present or override.is_add() else f"+{text}"


def _descend(cfg: DictConfig, key: str) -> tuple[Any, str]:
    *path, last = key.split(".")
    node: Any = cfg
    for part in path:
        node = node[part] if isinstance(node, DictConfig) and part in node else None
    return node, last


def _constructor(target: str | None) -> dict[str, tuple[str, ...]]:
    """Parameter -> names of its types, of a class or function, read from its source without importing it."""
    if target is None:
        return {}
    if target == "pytorch_lightning.Trainer":
        return dict.fromkeys(TRAINER, ())
    module, _, name = target.rpartition(".")
    for path in _sources(module):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return _parameters(node)
            if isinstance(node, ast.ClassDef) and node.name == name:
                return _fields(node, tree)
    return {}


def _sources(module: str) -> list[Path]:
    """Files that may define what a dotted module holds: its own, or those of the package that it is."""
    package, *parts = module.split(".")
    found = SOURCE if package == "genarena" else Path(find_spec(package).submodule_search_locations[0])
    path = found.joinpath(*parts)
    return sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def _fields(node: ast.ClassDef, tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """Parameters of `__init__`, or of the one that a dataclass gets: its fields and those of genarena's classes it extends."""
    init = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    if init:
        return _parameters(init[0])
    imported = {
        alias.name: f"{item.module}.{alias.name}"
        for item in tree.body
        if isinstance(item, ast.ImportFrom) and (item.module or "").startswith("genarena.")
        for alias in item.names
    }
    beside = {item.name: item for item in tree.body if isinstance(item, ast.ClassDef)}
    inherited = [
        _fields(beside[base.id], tree) if base.id in beside else _constructor(imported.get(base.id))
        for base in node.bases
        if isinstance(base, ast.Name)
    ]
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    own = {item.target.id: _types(item.annotation) for item in fields if "ClassVar" not in ast.unparse(item.annotation)}
    return {name: types for known in (*reversed(inherited), own) for name, types in known.items()}


def _parameters(function: ast.FunctionDef) -> dict[str, tuple[str, ...]]:
    arguments = function.args.args + function.args.kwonlyargs
    return {argument.arg: _types(argument.annotation) for argument in arguments if argument.arg != "self"}


def _types(annotation: ast.expr | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in ast.unparse(annotation).split("|")) if annotation else ()


def _check_value(key: str, value: Any, types: tuple[str, ...], default: Any) -> None:
    if key in ALLOWED and value not in ALLOWED[key]:
        raise UserError(
            f"{key}={value}: expected {', '.join('null' if value is None else value for value in ALLOWED[key])}"
        )
    scalars = {"int", "float", "bool", "str", "None"}
    if not types or not set(types) <= scalars:
        types = () if default is None or isinstance(default, DictConfig) else (type(default).__name__,)
    if key.split(".")[-1] in ("seed", "examples", "slots"):
        types = ("int", "None") if key != "seed" else ("int",)
    if key.split(".")[-1] == "minutes":
        types = ("float", "None")
    if set(types) <= scalars and types and not any(_is(value, name) for name in types):
        raise UserError(f"{key}={value}: expected {' or '.join(types).replace('None', 'null')}")
    if "ListConfig" in types and not isinstance(value, list):
        raise UserError(f"{key}={value}: expected a list, e.g. {key}=[{value}]")
    if key in ("metrics", "budget.metrics"):
        check_metrics(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key}={value}: expected a finite number")
    low, high = next(
        ((low, high) for pattern, low, high in RANGES if re.fullmatch(pattern, key.split(".")[-1])), (None, None)
    )
    if low is not None and isinstance(value, int | float) and not low <= value <= high:
        allowed = f"at least {low:g}" if high == float("inf") else f"{low:g} to {high:.10g}"
        raise UserError(f"{key}={value}: expected {'a positive number' if low == 1e-12 else allowed}")


def check_metrics(names: Any) -> None:
    """Raise UserError, with the nearest name, when one of `names` is no metric."""
    try:
        metrics.check(names)
    except ValueError as error:
        raise UserError(str(error)) from error


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool) or name == "bool":
        return isinstance(value, bool) and name == "bool"
    return {
        "int": isinstance(value, int),
        "float": isinstance(value, int | float),
        "str": isinstance(value, str),
        "None": value is None,
    }[name]


def nearest(word: str, candidates: Iterable[str]) -> str:
    candidates = list(candidates)
    close = difflib.get_close_matches(word, candidates, 1, 0.5)
    if not close:  # the last part may be right and the path wrong
        close = [c for c in candidates if c.split(".")[-1] == word.split(".")[-1]][:1]
    return f"; did you mean {close[0]}?" if close else ""


def _flat(cfg: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for key in cfg:
        full = f"{prefix}{key}"
        keys.append(full)
        node = cfg._get_node(key)
        if isinstance(node, DictConfig) and not node._is_interpolation() and not node._is_none():
            keys += _flat(node, f"{full}.")
            keys += [f"{full}.{name}" for name in _constructor(node.get("_target_")) if name not in node]
    return keys
