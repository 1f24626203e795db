"""The options `metric.<name>.<option>` and `evidence.<kind>.<option>`, read from the source without importing anything."""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from genarena import plugins
from genarena.options.signatures import Source, parameters, sources

EVIDENCE = "genarena.evaluation.evidence"
FOLDER = Path(__file__).parents[1] / "evaluation" / "evidence"
Options = dict[str, Any]  # option -> type


@lru_cache
def of_metric(module: str) -> Options:
    """The options of the metric itself (`own`), and of the evidence that its `update` asks for."""
    updates = [names for _, node in _classes(module) if (names := _arguments(node, "update"))]
    return _joined([of_evidence()[kind] for kind in _kinds(updates[0] if updates else [])]) | own(module)


@lru_cache
def own(module: str) -> Options:
    """The fields of the metric's `Settings`."""
    return _joined(_settings(*pair) for pair in reversed(_classes(module)))


@lru_cache
def of_evidence() -> dict[str, Options]:
    """Kind of evidence, by the name of its file -> the fields of its `Settings`."""
    return {kind: _joined(_settings(*pair) for pair in pairs) for kind, pairs in _evidence().items()}


@lru_cache
def _evidence() -> dict[str, list[tuple[Source, ast.ClassDef]]]:
    """Kind -> the classes in its file."""
    stems = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "base"))
    files = {stem: sources(f"{EVIDENCE}.{stem}") for stem in stems}
    return {
        stem: [(source, node) for source in found for node in source.classes.values()] for stem, found in files.items()
    }


@lru_cache
def _classes(module: str) -> list[tuple[Source, ast.ClassDef]]:
    return [pair for source in sources(module) for pair in _with_bases(source, source.classes.values())]


def _with_bases(source: Source, nodes: Iterable[ast.ClassDef]) -> Iterator[tuple[Source, ast.ClassDef]]:
    """Classes, each followed by the classes of other files that it extends."""
    for node in nodes:
        yield source, node
        for base in node.bases:
            module, _, name = source.imported.get(getattr(base, "id", ""), "").rpartition(".")
            if module.split(".")[0] in ("genarena", *plugins.packages()):
                for other in sources(module):
                    yield from _with_bases(other, [other.classes[name]] if name in other.classes else [])


def _settings(source: Source, node: ast.ClassDef) -> Options:
    """The fields of the class named in `Settings = <class>`; {} if there is no such line."""
    for item in node.body:
        if isinstance(item, ast.Assign) and getattr(item.targets[0], "id", "") == "Settings":
            name = getattr(item.value, "id", "")
            if name in source.classes:
                return source.of_class(source.classes[name])
            return parameters(source.imported.get(name))
    return {}


def _arguments(node: ast.ClassDef, method: str) -> list[str]:
    """Names of the arguments of a method, without `self`; [] if the class does not define it."""
    found = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == method]
    return [item.arg for item in found[0].args.args[1:]] if found else []


@lru_cache
def _pieces() -> dict[str, tuple[list[str], str]]:
    """Name of each piece of evidence -> the pieces that it needs, and its kind."""
    return {
        item.name: ([argument.arg for argument in item.args.args[1:]], kind)
        for kind, pairs in _evidence().items()
        for _, node in pairs
        for item in node.body
        if isinstance(item, ast.FunctionDef) and any(getattr(mark, "id", "") == "piece" for mark in item.decorator_list)
    }


def _kinds(names: Iterable[str]) -> Iterator[str]:
    """The kinds of these pieces, and of all that they need."""
    for name in names:
        if name in _pieces():
            needs, kind = _pieces()[name]
            yield from _kinds(needs)
            yield kind


def _joined(parts: Iterable[Options]) -> Options:
    return {name: kind for part in parts for name, kind in part.items()}
