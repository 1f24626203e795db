"""The source that the numbers of floors are made with: kept ones are made anew when it, or a library, changes."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version

from genarena.evaluation.code import text_of

ROOMS = ("tasks", "statistics")  # whose code counts; the recipe of the domain classifiers is in the protocol
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "torchmetrics")


@cache
def digest_of(module: str) -> str:
    """Eight hexadecimal digits, of the modules of `ROOMS` that a module imports, of itself, and of the versions of
    `LIBRARIES`."""
    content = [f"{name}\n{text}" for name, text in sorted(reached(module).items())]
    return hashlib.sha256("\n".join([*content, *map(version, LIBRARIES)]).encode()).hexdigest()[:8]


def reached(module: str) -> dict[str, str]:
    """The source of a module, and of all modules of `ROOMS` that it imports, or that these import."""
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        counts = name not in found and name.startswith(tuple(f"genarena.{room}." for room in ROOMS))
        if counts and (text := text_of(name)) is not None:
            found[name] = text
            waiting += _imported(text)
    return found


def _imported(text: str) -> Iterator[str]:
    """The names of modules in a source; of `from a import b` both `a` and `a.b`, which may be none."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
