"""Who may import whom, names that say something, one gate for instantiation."""

import ast
from pathlib import Path

import pytest

from genarena.config import SOURCE

FILES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN = {  # folder or file -> what it must not import
    "nets": (
        "genarena.models",
        "genarena.data",
        "genarena.metrics",
        "hydra",
        "omegaconf",
        "wandb",
        "pytorch_lightning",
    ),
    "models": (
        "genarena.data",
        "genarena.metrics",
        "genarena.run",
        "genarena.callbacks",
        "hydra",
        "omegaconf",
        "wandb",
    ),
    "metrics": ("genarena.models.", "genarena.run", "genarena.data", "hydra", "omegaconf", "wandb"),
    "data": ("genarena.models", "genarena.metrics", "genarena.run", "hydra", "omegaconf", "wandb"),
    "leaderboard": ("torch", "pytorch_lightning", "genarena.models", "genarena.run", "hydra", "wandb"),
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_import_rules(path: Path) -> None:
    parts = path.relative_to(SOURCE).parts
    used = imports(path)
    for prefix in FORBIDDEN.get(parts[0], ()):
        assert not [name for name in used if f"{name}.".startswith(prefix.rstrip(".") + ".")], prefix
    if parts[0] == "models" and len(parts) == 3:
        models = {p.stem for p in (SOURCE.parents[1] / "conf" / "model").glob("*.yaml")}
        others = [name for name in used if name.startswith("genarena.models.") and name.split(".")[-2] in models]
        assert not others, "a shared piece moves to the family folder"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_one_gate_instantiates(path: Path) -> None:
    if path.name != "build.py":
        assert "hydra.utils.instantiate" not in imports(path)


def test_only_compression_needs_the_optional_entropy_coder() -> None:
    users = [path for path in FILES if any(name.startswith("constriction") for name in imports(path))]
    assert users
    assert {path.parent.name for path in users} == {"compression"}
    assert not [
        path
        for path in FILES
        if any("genarena.compression" in name for name in imports(path)) and path.parent.name != "compression"
    ]


def test_names_and_depth() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "util", "common", "helpers", "core", "misc"}
        assert len(path.relative_to(SOURCE).parts) <= 3


@pytest.mark.parametrize("path", sorted(SOURCE.glob("models/*/__init__.py")), ids=lambda path: path.parent.name)
def test_family_page_is_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert len(ast.get_docstring(tree) or "") > 200
    assert len(tree.body) == 1
