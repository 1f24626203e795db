"""The options of a metric, `metric.<name>.<option>`, read from the source without importing anything."""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from genarena import plugins
from genarena.options.signatures import Source, parameters, sources

EVIDENCE = "genarena.evaluation.evidence"
Options = dict[str, Any]  # option -> type


@lru_cache
def of_metric(module: str) -> Options:
    """The fields of the metric's `Settings`, and of the `Settings` of the evidence that its `update` asks for."""
    classes = [pair for source in sources(module) for pair in _with_bases(source, source.classes.values())]
    own = [_settings(*pair) for pair in reversed(classes)]
    updates = [names for _, node in classes if (names := _arguments(node, "update"))]
    return _joined([*_of_pieces(updates[0] if updates else []), *own])


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
def _pieces() -> dict[str, tuple[list[str], Options]]:
    """Name of each piece of evidence -> the pieces that it needs, and the options of its kind."""
    found = {}
    for source in sources(EVIDENCE):
        for node in source.classes.values():
            options = _settings(source, node)
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and any(
                    getattr(mark, "id", "") == "piece" for mark in item.decorator_list
                ):
                    found[item.name] = [argument.arg for argument in item.args.args[1:]], options
    return found


def _of_pieces(names: Iterable[str]) -> Iterator[Options]:
    for name in names:
        needs, options = _pieces().get(name, ([], {}))
        yield from _of_pieces(needs)
        yield options


def _joined(parts: Iterable[Options]) -> Options:
    return {name: kind for part in parts for name, kind in part.items()}
