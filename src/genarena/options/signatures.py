"""The options of a class or function, and their types, read from its source without importing it."""

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from genarena import plugins
from genarena.options import values
from genarena.options.groups import OF_FOREIGN

NAMES = {
    **{kind.__name__: kind for kind in (int, float, str, bool, values.Range)},
    **{name: kind for name, kind in vars(values).items() if get_origin(kind) is Annotated},
    **{"Annotated": Annotated, "Literal": Literal, "Sequence": Sequence, "list": list, "tuple": tuple},
}


@lru_cache
def parameters(target: str | None) -> dict[str, Any]:
    """Option -> type of a `_target_`; {} if its source cannot be found. A type that cannot be read is `Something`."""
    if not isinstance(target, str):
        return {}
    for prefix, kinds in OF_FOREIGN.items():
        if target == prefix:
            return dict(kinds)
    module, _, name = target.rpartition(".")
    found = next(_defined(module, name), {})
    prefix = next((prefix for prefix in OF_FOREIGN if prefix.endswith(".") and target.startswith(prefix)), None)
    return found | {key: kind for key, kind in OF_FOREIGN.get(prefix, {}).items() if key in found}


def _defined(module: str, name: str) -> Iterator[dict[str, Any]]:
    for source in sources(module):
        for node in source.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                yield source.of_function(node)
            if isinstance(node, ast.ClassDef) and node.name == name:
                yield source.of_class(node)


def sources(module: str) -> list["Source"]:
    """The sources of a dotted module; of all its files, if it is a package."""
    paths = _files(module)
    return [Source(module, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def _files(module: str) -> list[Path]:
    """The file of a dotted module; all files, if it is a package."""
    package, *parts = module.split(".")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return []
    path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    if path.is_dir():
        return sorted(path.glob("*.py"))
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


class Source:
    """One module's source: its classes, its imports, and its own names for types (`Mode = Literal["a", "b"]`)."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.body = tree.body
        self.classes = {item.name: item for item in tree.body if isinstance(item, ast.ClassDef)}
        self.imported = {
            alias.asname or alias.name: f"{_absolute(item, module)}.{alias.name}"
            for item in tree.body
            if isinstance(item, ast.ImportFrom)
            for alias in item.names
        }
        self.names = _Names(NAMES)
        for item in tree.body:
            if isinstance(item, ast.Assign) and len(item.targets) == 1 and isinstance(item.targets[0], ast.Name):
                kind = self._kind(item.value)
                if values.is_known(kind):
                    self.names[item.targets[0].id] = kind

    def of_function(self, function: ast.FunctionDef) -> dict[str, Any]:
        arguments = function.args.args + function.args.kwonlyargs
        return {item.arg: self._kind(item.annotation) for item in arguments if item.arg != "self"}

    def of_class(self, node: ast.ClassDef) -> dict[str, Any]:
        """Parameters of `__init__`; without an `__init__`, the fields of the dataclass and of its base classes."""
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return self.of_function(item)
        found: dict[str, Any] = {}
        for base in reversed(node.bases):
            if isinstance(base, ast.Name):
                found |= self._of_base(base.id)
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
        own = [item for item in fields if "ClassVar" not in ast.unparse(item.annotation)]
        return found | {item.target.id: self._kind(item.annotation) for item in own}

    def _of_base(self, name: str) -> dict[str, Any]:
        if name in self.classes:
            return self.of_class(self.classes[name])
        imported = self.imported.get(name, "")
        return parameters(imported) if imported.split(".")[0] in ("genarena", *plugins.packages()) else {}

    def _kind(self, annotation: ast.expr | None) -> Any:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except (SyntaxError, ValueError):  # a string that is no type, such as an address
                return values.Something
        if annotation is None or not all(isinstance(part, _IN_TYPES) for part in ast.walk(annotation)):
            return values.Something
        try:  # only names of types are in scope, nothing else
            return eval(compile(ast.Expression(annotation), "<annotation>", "eval"), {"__builtins__": {}}, self.names)
        except (TypeError, ValueError, AttributeError, LookupError):  # e.g. two types that cannot form a union
            return values.Something


_IN_TYPES = (
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.BinOp,
    ast.BitOr,
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.Call,
    ast.keyword,
    ast.UnaryOp,
    ast.USub,
    ast.Pow,
    ast.Load,
)


class _Names(dict):
    """Name -> type; an unknown name gives `Something`."""

    def __missing__(self, name: str) -> type:
        return values.Something


def _absolute(item: ast.ImportFrom, module: str) -> str:
    """The absolute module of a `from ... import` in `module`, which may be relative."""
    if not item.level:
        return item.module or ""
    return ".".join([*module.split(".")[: -item.level], *filter(None, [item.module])])
