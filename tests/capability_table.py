"""Which model gives what, and which samplers fit it: the tables of docs/capabilities.md.

`python -m tests.capability_table` writes them anew after a change.
"""

import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_object

from genarena.config import available, file_of
from genarena.models import capabilities, classifying, mixing, pronouncing, splitting, vocoding
from genarena.models.base import GenerativeModel

PAGE = Path(__file__).parents[1] / "docs" / "capabilities.md"


@cache
def models() -> dict[str, type[GenerativeModel]]:
    """Name -> class, of the files that are not variants of another one."""
    targets = {name: target("model", name) for name in available("model")}
    return {name: get_object(found) for name, found in targets.items() if found.split(".")[-2] == name}


def target(group: str, name: str) -> str:
    """The class that a file of `conf` names, or the file that it begins with."""
    node = _parsed(file_of(group, name).read_text())
    return node.get("_target_") or target(group, node["defaults"][0])


@cache
def _parsed(text: str) -> dict[str, Any]:
    return yaml.safe_load(text)


def given() -> list[type]:
    """The capabilities, in the order of their files."""
    found = [
        (file, each)
        for file in (capabilities, classifying, mixing, vocoding, pronouncing, splitting)
        for each in vars(file).values()
    ]
    return [each for file, each in found if inspect.isabstract(each) and each.__module__ == file.__name__]


def by_capability() -> str:
    """A row per capability: what it gives (the first sentence of its docstring), and the models."""
    rows = ["| capability | what it gives | models |", "|---|---|---|"]
    for capability in given():
        sentence = " ".join(re.split(r"(?<=[.:])\s", inspect.getdoc(capability))[0].split())
        names = [name for name, model in models().items() if issubclass(model, capability)]
        sentence = sentence.rstrip(".:").replace("|", "\\|")
        rows.append(f"| `{capability.__name__}` | {sentence} | {', '.join(names) or '–'} |")
    return "\n".join(rows)


def by_sampler() -> str:
    """A row per sampler: the models that take it. The first one that a model's YAML names is its own."""
    rows = ["| sampler | models |", "|---|---|"]
    for name in available("sampler"):
        kind = get_object(target("sampler", name))
        fitting = [each for each, model in models().items() if model.samplers and issubclass(kind, model.samplers)]
        rows.append(f"| `{name}` | {', '.join(fitting)} |")
    return "\n".join(rows)


def by_condition() -> str:
    """Which models take conditions, which of them have guidance, and which refuse."""
    kinds = {
        "takes conditions": [name for name, model in models().items() if model.conditional],
        "of these, only labels": [name for name, model in models().items() if model.condition_kinds == ("label",)],
        "of these, only mels": [name for name, model in models().items() if model.condition_kinds == ("mel",)],
        "of these, only characters": [
            name for name, model in models().items() if model.condition_kinds == ("characters",)
        ],
        "has guidance": [name for name, model in models().items() if model.guides],
        "refuses conditions": [name for name, model in models().items() if not model.conditional],
    }
    return "\n".join(
        ["| | models |", "|---|---|", *(f"| {kind} | {', '.join(names)} |" for kind, names in kinds.items())]
    )


def written(text: str) -> str:
    """The page with its tables made anew."""
    tables = iter([by_capability(), by_sampler(), by_condition()])
    return re.sub(r"(?m)(^\|.*\|\n)+", lambda _: next(tables) + "\n", text)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
