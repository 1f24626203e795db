"""Tasks and algorithms by their names in `conf/task` and `conf/algorithm`, with options of a command line. Imports no torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from omegaconf import OmegaConf

from genarena import config
from genarena.errors import UserError
from genarena.options.groups import GROUPS
from genarena.options.hints import nearest, written
from genarena.options.overrides import parse
from genarena.options.script import Option, read
from genarena.options.signatures import parameters
from genarena.options.values import Something, place_of, refusal


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


def read_all(arguments: Sequence[str], many: bool) -> list[tuple[str, dict[str, Any]]]:
    """The name of the task and its options, for each combination of the values of `arguments`, one of which is `task=`.

    many: values with commas between them are alternatives, as with `-m` of train.py; else they are a list.
    Raises UserError for what cannot be read.
    """
    lines = [list(arguments)]
    if many:
        parsed = [parse(text) for text in arguments]
        lines = BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]
    found = []
    for line in lines:
        options = read(line, {text.partition("=")[0]: Option(Something) for text in line})
        for group in ("task", "algorithm"):
            if isinstance(options.get(group), str) and "," in options[group]:
                raise UserError(f"{group}={options[group]}: several values are for combinations: task.py -m ...")
        found.append((options.pop("task"), options))
    return found


@dataclass(frozen=True)
class Given:
    """The words of a command line: options of the program; `task=` and the options of the task; those of train.py."""

    own: list[str]
    of_task: list[str]
    of_training: list[str]


def split(words: Sequence[str], own: Collection[str]) -> Given:
    """The words, by whose option they are. own: names of the options of the program; `task` is also one of the task.

    With `data=` or `model=` an option that the task does not have, and `seed`, are of train.py; `task.<option>` is always
    of the task. Raises UserError for `task=` that is missing, and for a misspelt option of the program.
    """
    keys = {text.partition("=")[0]: text for text in words}
    if not {"-h", "--help", "task"} & set(keys):
        raise UserError("task=... is missing; --help says what there is")
    trains = bool({"data", "model"} & set(keys))
    name = keys.get("task", "").partition("=")[2].split(",")[0]
    known = known_options(name)
    made = Given([], [], [])
    for text in words:
        key = text.partition("=")[0]
        if key in ("-h", "--help"):
            continue
        if "=" not in text or key == "debug" or (key in own and key != "task"):
            made.own.append(text)
        elif key.startswith("task."):
            made.of_task.append(text.removeprefix("task."))
        elif trains and key != "task" and key.partition(".")[0] != "algorithm" and _trains(key, known):
            made.of_training.append(text)
        elif key not in ("task", "algorithm") and "." not in key and (near := _misspelt(key, own, known)):
            raise UserError(f"{key}: there is no such option{near}")
        else:
            made.of_task.append(text)
    return made


def _trains(key: str, known: Mapping[str, Any]) -> bool:
    """Whether an option is of train.py: not of the task, nor a misspelt one of it."""
    if key == "seed" or "." in key or key in (*config.groups(), *GROUPS[""]):
        return True
    return key not in known and not nearest(key, known)


def _misspelt(key: str, own: Collection[str], known: Mapping[str, Any]) -> str:
    """The hint, if an option is that of the program rather than one of the task, with a slip; "" if not."""
    return "" if not known or key in known or nearest(key, known) else nearest(key, own)


def comment(group: str, name: str) -> str:
    """The first line of a YAML file, which says what it is for."""
    first = config.file_of(group, name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def known_options(name: Any) -> dict[str, Any]:
    """Option -> type of a task, without its algorithm; {} if there is no such task."""
    if name not in config.available("task"):
        return {}
    node = OmegaConf.to_container(OmegaConf.load(config.file_of("task", name)), resolve=True)
    return {option: kind for option, kind in parameters(node["_target_"]).items() if option != "algorithm"}


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
        several = _listed(value)
        is_list = isinstance(node.get(option), list) or (
            refusal(value, kinds[option]) and not refusal(several, kinds[option])
        )
        taken = several if is_list else value
        if expected := refusal(taken, kinds[option]):
            raise UserError(f"{prefix}{option}={written(value)}: expected {expected}")
        place = place_of(kinds[option])
        node[option] = place.read(taken) if place and taken is not None else taken
    return node


def _listed(value: Any) -> list[Any]:
    """A list, also where it is written without brackets: 0.1,0.25."""
    if isinstance(value, str) and "," in value:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"v=[{value}]"]))["v"]
    return value if isinstance(value, list) else [value]
