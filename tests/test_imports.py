"""Who may import whom, names that say something, one gate for instantiation."""

import ast
import re
from pathlib import Path

import pytest

from genarena.config import SOURCE
from tests import rooms

FILES = sorted(SOURCE.rglob("*.py"))
TESTS = SOURCE.parents[1] / "tests"
FORBIDDEN = {  # room -> packages that nothing in it imports
    "nets": ("hydra", "omegaconf", "wandb", "pytorch_lightning"),
    "models": ("hydra", "omegaconf", "wandb"),
    "metrics": ("hydra", "omegaconf", "wandb"),
    "data": ("hydra", "omegaconf", "wandb"),
    "statistics": (
        "hydra",
        "omegaconf",
        "wandb",
        "pytorch_lightning",
        "scipy.stats",
    ),  # scipy.stats takes seconds to import
    "leaderboard": ("torch", "pytorch_lightning", "hydra", "wandb", "scipy.stats"),
}


def named(path: Path) -> str:
    return str(path.relative_to(SOURCE))


# -- the house ----------------------------------------------------------------------------------------------------------


def test_no_circle_among_files_or_rooms() -> None:
    assert rooms.circles(rooms.arrows()) == []
    assert rooms.circles(rooms.room_arrows()) == []


def test_the_page_shows_the_rooms_as_they_are() -> None:
    graph = rooms.room_arrows()
    assert rooms.table() == graph, "python -m tests.rooms"
    assert rooms.written(graph) == rooms.PAGE.read_text(), "python -m tests.rooms writes the picture anew"


def test_no_arrow_runs_back_up() -> None:
    """The table of the page lists the rooms from the roof down: a room imports only from rows below its own."""
    order = list(rooms.table())
    upwards = [
        (name, target)
        for name, targets in rooms.room_arrows().items()
        for target in targets
        if order.index(target) < order.index(name)
    ]
    assert upwards == []


def test_few_files_at_the_root_and_none_too_deep_or_too_long() -> None:
    assert len(list(SOURCE.glob("*.py"))) <= 12
    for path in FILES:
        assert path.stem not in {"utils", "util", "common", "helpers", "core", "misc"}
        assert len(path.relative_to(SOURCE).parts) <= 3
    long = {named(path): length for path in FILES if (length := len(path.read_text().splitlines())) > 250}
    assert long == {}, "a file over 250 lines asks for a noun that is missing"
    assert len((SOURCE / "models" / "base.py").read_text().splitlines()) < 150


def test_tests_mirror_the_rooms() -> None:
    """Every folder of tests is a room, but for `faults`, which kills whole runs."""
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")} - {Path(), Path("faults")}
    assert [folder for folder in folders if not (SOURCE / folder).is_dir()] == []


# -- what a file may import -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=named)
def test_packages_that_a_room_does_without(path: Path) -> None:
    used = rooms.imported(path)
    for package in FORBIDDEN.get(path.relative_to(SOURCE).parts[0], ()):
        assert not [name for name in used if f"{name}.".startswith(f"{package}.")], package


@pytest.mark.parametrize("path", sorted(SOURCE.glob("models/*/*.py")), ids=named)
def test_of_another_model_only_a_class_to_extend(path: Path) -> None:
    """What several models of a family need lies in a file of the family, named by a noun."""
    models = {
        f"genarena.{module}"
        for module in rooms.files()
        if rooms.room(module) == "models"
        and (SOURCE.parents[1] / "conf" / "model" / f"{module.rpartition('.')[2]}.yaml").is_file()
    }
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    bases = {ast.unparse(base) for node in classes for base in node.bases}
    taken = [name for name in rooms.imported(path) if name.rpartition(".")[0] in models]
    assert [name for name in taken if name.rpartition(".")[2] not in bases] == []


def test_only_one_gate_instantiates() -> None:
    users = [named(path) for path in FILES if "hydra.utils.instantiate" in rooms.imported(path)]
    assert users == ["build.py"]


def test_only_compression_needs_the_optional_entropy_coder() -> None:
    users = {path for path in FILES if any(name.startswith("constriction") for name in rooms.imported(path))}
    assert {path.parent.name for path in users} == {"compression"}
    assert not [
        module
        for module, targets in rooms.arrows().items()
        if rooms.room(module) not in ("compression", "api")
        and any(rooms.room(target) == "compression" for target in targets)
    ]


# -- pages ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SOURCE.glob("models/*/__init__.py")), ids=lambda path: path.parent.name)
def test_family_page_is_a_docstring(path: Path) -> None:
    """A family's `__init__.py` says what the family is, its equation and its conventions, and imports nothing."""
    tree = ast.parse(path.read_text())
    page = ast.get_docstring(tree) or ""
    assert len(page) > 200, f"{path}: write the family's page: what it is, its equation, its conventions"
    assert len(tree.body) == 1, f"{path}: a docstring and nothing else"


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=named)
def test_every_room_says_what_it_is(folder: Path) -> None:
    text = (folder / "__init__.py").read_text() if (folder / "__init__.py").is_file() else ""
    assert re.match(r'"""\S', text), f"{folder.name}/__init__.py begins with a docstring"
