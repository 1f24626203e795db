"""Content of the page from the folder of a run: pictures, sound, training curves and the configuration.

A file that cannot be read is left out and reported; the row and the page are still shown.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from genarena.errors import ArenaError, printable
from genarena.files import foreign
from genarena.leaderboard import curves
from genarena.leaderboard.images import Gallery, Picture
from genarena.leaderboard.players import Player, Players, files
from genarena.leaderboard.runs import Run

SAMPLES = "final"
PICTURES = {  # file in samples/ -> heading
    SAMPLES: "Samples",
    "neighbours": "Nearest neighbours",
    "reconstructions": "Reconstructions",
}
REAL = "real"  # files of the test examples beside those of samples of sound
CONFIG_BYTES = 100_000
Content, Source = TypeVar("Content"), TypeVar("Source")


@dataclass(frozen=True)
class RealSound:
    """The first test examples of a data set of sound."""

    picture: Picture
    player: Player


@dataclass
class Illustrations:
    """Pictures, sound, curves and configurations by run folder. real: id of a data set -> its sound. complaints: one line of
    text per unreadable file."""

    pictures: dict[Path, dict[str, Picture]] = field(default_factory=dict)
    sounds: dict[Path, Player] = field(default_factory=dict)
    real: dict[str, RealSound] = field(default_factory=dict)
    losses: dict[Path, dict[str, curves.Curve]] = field(default_factory=dict)
    validations: dict[Path, dict[str, curves.Curve]] = field(default_factory=dict)
    configs: dict[Path, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


def collect(runs: Sequence[Run], track: Callable[[Iterable, str], Iterable] = lambda items, _: items) -> Illustrations:
    """Read the illustrations of all runs. track: may show progress."""
    paths = {run.folder: _pictures(run) for run in runs}
    sounds, real = {run.folder: files(run.folder, SAMPLES) for run in runs}, _real(runs)
    gallery, made = Gallery(sum(map(len, paths.values())) + len(real)), Illustrations()
    players = Players(sum(map(bool, sounds.values())) + len(real))
    for data_id, folder in real.items():
        picture = _read(gallery.picture, folder / "samples" / f"{REAL}.png", made)
        player = _read(players.player, files(folder, REAL), made)
        made.real |= {data_id: RealSound(picture, player)} if picture and player else {}
    for run in track(runs, "pictures and curves"):
        if sounds[run.folder] and (player := _read(players.player, sounds[run.folder], made)):
            made.sounds[run.folder] = player
        pictures = {name: _read(gallery.picture, path, made) for name, path in paths[run.folder].items()}
        made.pictures[run.folder] = {name: picture for name, picture in pictures.items() if picture}
        made.losses[run.folder] = _read(curves.read, run.folder / "metrics.csv", made) or {}
        made.validations[run.folder] = _read(curves.over_steps, run.folder / "metrics.csv", Illustrations()) or {}
        made.configs[run.folder] = _read(_config, run.folder / "config.yaml", made) or ""
    return made


def _pictures(run: Run) -> dict[str, Path]:
    paths = {name: run.folder / "samples" / f"{name}.png" for name in PICTURES}
    return {name: path for name, path in paths.items() if path.exists()}


def _real(runs: Sequence[Run]) -> dict[str, Path]:
    """Id of a data set of sound -> the first run with files of its test examples."""
    found: dict[str, Path] = {}
    for run in runs:
        if run.row["data"]["id"] not in found and files(run.folder, REAL):
            found[run.row["data"]["id"]] = run.folder
    return found


def _read(read: Callable[[Source], Content], path: Source, made: Illustrations) -> Content | None:
    try:
        return read(path)
    except ArenaError as error:
        made.complaints.append(str(error))
    except FileNotFoundError:  # for example, imported rows have no configuration
        pass
    except OSError as error:
        made.complaints.append(printable(f"{path} cannot be read: {error.strerror}"))
    return None


def _config(path: Path) -> str:
    return printable(foreign.read(path, CONFIG_BYTES).decode(errors="replace"))
