"""What of a syntax tree is code that a number is computed with; see `genarena.evaluation.code`."""

import ast
from collections.abc import Iterator
from typing import Any

ONLY_SHOWN = ("title", "unit", "higher_is_better", "towards_real", "too_few", "facts")  # members that change no number
NO_CODE = ("annotation", "returns", "ctx", "kind", "type_comment", "type_params")  # fields of nodes


def defined(node: ast.AST) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]


def is_settings(node: ast.AST) -> bool:
    """Whether a class extends `genarena.options.settings.Settings`."""
    return isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Settings" for base in node.bases)


def number(node: ast.AST) -> Any:
    """The value of `NAME = <number or numbers>`; else None."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None or not defined(node)[0].isupper():
        return None
    try:
        value = ast.literal_eval(node.value)
    except (ValueError, TypeError):
        return None
    numbers = value if isinstance(value, tuple | list) else [value]
    plain = all(isinstance(number, int | float) for number in numbers)
    return (list(value) if isinstance(value, tuple) else value) if plain else None


def _kept(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """The fields of a node that are code: no docstring, annotation, text of an error, or member that is only shown."""
    for name, value in ast.iter_fields(node):
        if name in NO_CODE or isinstance(node, ast.Raise):
            continue
        if isinstance(value, list):
            value = [item for item in value if not _is_text(item) and not _is_only_shown(node, item)]
        if value is not None and value != []:
            yield name, value


def _is_text(item: Any) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)


def _is_only_shown(owner: ast.AST, item: Any) -> bool:
    return isinstance(owner, ast.ClassDef) and isinstance(item, ast.AST) and bool({*defined(item)} & {*ONLY_SHOWN})


def walk(node: Any) -> Iterator[ast.AST]:
    """All nodes that are code."""
    if isinstance(node, list):
        for item in node:
            yield from walk(item)
    elif isinstance(node, ast.AST):
        yield node
        for _, value in _kept(node):
            yield from walk(value)


def plain(node: Any) -> Any:
    """A node as lists, the same in every version of Python."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if isinstance(node, ast.AST):
        return [type(node).__name__, *([name, plain(value)] for name, value in _kept(node))]
    return node if isinstance(node, str) else [repr(node)]  # the number 1 is not the text 1
