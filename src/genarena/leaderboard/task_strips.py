"""Pictures of tasks: which ones a table has, in what order, and what they show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genarena.errors import ArenaError
from genarena.leaderboard.images import Gallery, Picture
from genarena.leaderboard.task_lines import TaskLine
from genarena.leaderboard.tasks import TaskTable

TYPES = ("*.png", "*.gif")
PAGE_BYTES = 12_000_000  # all pictures of tasks together, encoded in base64


@dataclass(frozen=True)
class Seen:
    """A picture. rows: what its rows of images are, from above. text: what else there is to say. is_plot: it is drawn."""

    picture: Picture
    rows: Sequence[str]
    text: str
    is_plot: bool


@dataclass(frozen=True)
class Strip:
    """A figure of a run: a picture, a moving one of the same name, or both.

    name: of the files, in words; "" where a model has no other. of_floor: it is of a method without a trained model.
    """

    line: TaskLine
    name: str
    of_floor: bool
    still: Seen | None = None
    moving: Seen | None = None


def pictures(tables: Iterable[TaskTable]) -> tuple[dict[Path, dict[str, Picture]], list[str]]:
    """Folder of a row -> name of a file -> picture, and a line of text per unreadable picture."""
    lines = [line for table in tables for line in table.lines if line.runs]
    paths = {line.folder: _ordered(line.folder, list(line.pictures)) for line in lines}
    gallery, made, complaints = Gallery(sum(map(len, paths.values())), PAGE_BYTES), {}, []
    for folder, files in paths.items():
        made[folder] = {}
        for path in files:
            try:
                made[folder][path.name] = gallery.picture(path)
            except (ArenaError, OSError) as error:
                complaints.append(str(error))
    return made, complaints


def _ordered(folder: Path, names: Sequence[str]) -> list[Path]:
    """The pictures in a folder: in the order of the row, then by name. A moving one comes after the others."""
    found = sorted(path for kind in TYPES for path in folder.glob(kind))
    places = {name: place for place, name in enumerate(names)}
    return sorted(found, key=lambda path: (path.suffix == ".gif", places.get(path.name, len(places))))


def strips(table: TaskTable, pictures: dict[Path, dict[str, Picture]]) -> list[Strip]:
    """The pictures of all runs of a table, of the first seed of each; those of floors once, after the others."""
    first: dict[Path, TaskLine] = {}
    for line in table.lines:
        if line.runs:
            first.setdefault(line.folder, line)
    of_models = [strip for folder, line in first.items() for strip in _of_run(line, pictures.get(folder, {}))]
    of_floors = {strip.name: strip for strip in reversed(of_models) if strip.of_floor}
    return [*(strip for strip in of_models if not strip.of_floor), *reversed(of_floors.values())]


def _of_run(line: TaskLine, pictures: dict[str, Picture]) -> list[Strip]:
    made: dict[str, Strip] = {}
    for name, picture in pictures.items():
        about, stem = line.pictures.get(name, {}), Path(name).stem
        seen = Seen(picture, about.get("rows", []), about.get("text", ""), about.get("is_plot", False))
        strip = made.get(stem) or Strip(line, stem.replace("_", " "), about.get("is_floor", False))
        made[stem] = replace(strip, **{"moving" if picture.moves else "still": seen})
    alone = len(made) == 1
    return [replace(strip, name="") if alone and not strip.of_floor else strip for strip in made.values()]
