"""The code that a number is computed with: all definitions of genarena's source that a class or function reaches.

Two versions of genarena compute the same number if these agree, whatever else differs between them. Docstrings, comments,
annotations, texts of errors, headings and sizes of chunks (`..._AT_ONCE`) are not code here. The source is read, not imported.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genarena import plugins
from genarena.evaluation import syntax

ROOMS = ("metrics", "statistics", "likelihood", "evaluation")  # of genarena; models have an identity of their own
SUBJECT = "genarena.evaluation.subject"  # kinds of evidence call it `self.subject`
NOT_COUNTED = {*sys.stdlib_module_names, "genarena", "torch", "numpy", "torchmetrics", "safetensors"}
# Where module and package differ in more than - and _.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "open_clip": "open-clip-torch"}


@dataclass(frozen=True)
class Place:
    """A definition at the top of a module; or a member of one of its classes, `Subject.test`."""

    module: str
    name: str


@dataclass(frozen=True)
class Code:
    """digest: a hash of all definitions. constants: `<module>.<NAME>` -> value, of those that are numbers. libraries: the
    packages that it uses, apart from torch and NumPy."""

    digest: str
    constants: dict[str, Any]
    libraries: tuple[str, ...]

    @property
    def versions(self) -> dict[str, str | None]:
        """Library -> its version; None if it is not installed."""
        return {library: _version(library) for library in self.libraries}

    @property
    def whole(self) -> str:
        """A hash of all of it, eight hexadecimal digits."""
        return _hash([self.digest, self.constants, self.versions])


@dataclass(frozen=True)
class Definition:
    """number: the value of a constant; else None. content: a hash of it. reached: the definitions that it names, and the
    packages that it uses."""

    number: Any
    content: str
    reached: tuple[Place | str, ...]


def code_of(roots: Iterable[type | Callable]) -> Code:
    """The code of classes and functions."""
    waiting: list[Place | str] = [Place(root.__module__, root.__qualname__) for root in roots]
    found: dict[Place, Definition] = {}
    sources: dict[str, _Source | None] = {}
    libraries = set()
    while waiting:
        place = waiting.pop()
        if isinstance(place, str):
            libraries.add(place)
        elif place not in found:
            if place.module not in sources:
                sources[place.module] = _source(place.module)
            source = sources[place.module]
            if source and (definition := source.definition(place.name)):
                found[place] = definition
                waiting += definition.reached
    numbers = {place: each.number for place, each in found.items() if each.number is not None}
    return Code(
        _hash(sorted([place.name, each.content] for place, each in found.items() if place not in numbers)),
        {f"{place.module.rpartition('.')[2]}.{place.name}": numbers[place] for place in sorted(numbers, key=str)},
        tuple(sorted(libraries)),
    )


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


class _Source:
    """One module: its definitions, and where its names come from."""

    def __init__(self, module: str, text: str) -> None:
        tree = ast.parse(text)
        self.module = module
        self.nodes = {name: node for node in tree.body for name in syntax.defined(node)}
        self._known: dict[str, Definition | None] = {}
        self.origins: dict[str, tuple[str, str | None]] = {}  # name -> module, and its name there
        for node in ast.walk(tree):  # imports inside functions too
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            self.origins |= {alias.asname or alias.name.partition(".")[0]: (alias.name, None) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = self.module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*package, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                self.origins[alias.asname or alias.name] = (inner, None) if text_of(inner) else (origin, alias.name)

    def definition(self, name: str) -> Definition | None:
        """None for a name that is not defined here, or whose definition changes no number."""
        if name not in self._known:
            node = self._node(name)
            counts = node is not None and not syntax.is_settings(node) and not name.endswith("_AT_ONCE")
            self._known[name] = self._described(name, node) if counts else None
        return self._known[name]

    def _described(self, name: str, node: ast.AST) -> Definition:
        return Definition(
            syntax.number(node), _hash(syntax.plain(node)), tuple(dict.fromkeys(self._reached(name, node)))
        )

    def _node(self, name: str) -> ast.AST | None:
        owner, _, member = name.partition(".")
        node = self.nodes.get(owner)
        if not member or not isinstance(node, ast.ClassDef):
            return None if member else node
        return next((item for item in node.body if member in syntax.defined(item)), None)

    def _reached(self, name: str, node: ast.AST) -> Iterator[Place | str]:
        owner = name.partition(".")[0] if "." in name else None
        for part in syntax.walk(node):
            if isinstance(part, ast.Name):
                yield from self._named(part.id)
            if not isinstance(part, ast.Attribute):
                continue
            of = ast.unparse(part.value) if isinstance(part.value, ast.Name | ast.Attribute) else ""
            if of == "self" and owner:
                yield Place(self.module, f"{owner}.{part.attr}")
            if of == "self.subject":
                yield Place(SUBJECT, f"Subject.{part.attr}")
            if of in self.origins and self.origins[of][1] is None:
                yield from _at(self.origins[of][0], part.attr)

    def _named(self, name: str) -> Iterator[Place | str]:
        if name in self.nodes:
            yield Place(self.module, name)
        elif name in self.origins:
            module, inner = self.origins[name]
            yield from _at(module, inner or "")


def _at(module: str, name: str) -> Iterator[Place | str]:
    root = module.partition(".")[0]
    if root not in NOT_COUNTED and root not in plugins.packages():
        yield DISTRIBUTIONS.get(root, root.replace("_", "-"))
    elif name:
        yield Place(module, name)


def _source(module: str) -> _Source | None:
    """A module of the rooms that count, or of a plugin."""
    root, *parts = module.split(".")
    if root not in plugins.packages() and not (root == "genarena" and parts and parts[0] in ROOMS):
        return None
    text = text_of(module)
    return None if text is None else _parsed(module, text)


_parsed = lru_cache(256)(_Source)


def text_of(module: str) -> str | None:
    """The source of a module of genarena or of a plugin; None if there is none."""
    root, *parts = module.split(".")
    if root not in ("genarena", *plugins.packages()):
        return None
    folder = _folder(root)
    paths = folder.joinpath(*parts).with_suffix(".py"), folder.joinpath(*parts, "__init__.py")
    return next((_read(path, path.stat().st_mtime_ns) for path in paths if path.is_file()), None)


@lru_cache
def _folder(package: str) -> Path:
    return Path(find_spec(package).submodule_search_locations[0])


@lru_cache(512)
def _read(path: Path, changed: int) -> str:
    return path.read_text(encoding="utf-8")
