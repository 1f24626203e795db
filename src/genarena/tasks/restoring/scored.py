"""Scores of floors: made once for all models of a data set, and kept in the cache, under the data id, the id of the protocol of
the case with a digest of the domain classifiers, and a digest of the code and of the libraries that they are computed with."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

import genarena
from genarena.evaluation import features
from genarena.tasks.base import COLUMNS
from genarena.tasks.restoring.records import Score, Scores
from genarena.tasks.restoring.restored import Restored

ROOMS = (
    "tasks",
    "statistics",
)  # whose code decides the numbers; the recipe of the domain classifiers is in the protocol
LIBRARIES = ("torch", "numpy", "scipy", "torchmetrics")


@dataclass(frozen=True)
class Scored:
    """paper: of the floor. scores: by the way to use it (`Judge.scores`). shown: its first estimates (n, C, H, W).

    Seconds are those of the run that made them.
    """

    paper: str
    scores: Mapping[str, Scores]
    shown: Tensor

    @classmethod
    def of(cls, paper: str, scores: Mapping[str, Scores], made: Restored) -> "Scored":
        return cls(paper, scores, made.mean[:COLUMNS].clone())

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> "Scored":
        scores = {part: {name: Score(**each) for name, each in found.items()} for part, found in kept["scores"].items()}
        return cls(kept["paper"], scores, kept["shown"])


def kept(data_id: str, judged: str, make: Callable[[], Mapping[str, Scored]]) -> dict[str, Scored]:
    """The floors of a case, by name: from the cache, or made now; of several processes one makes them, and the others wait.

    judged: by what protocol and classifiers.
    """
    name = f"{data_id}/floors-{judged}-{code()}.pt"
    found = features.cached_once(
        name,
        lambda: {floor: asdict(each) for floor, each in make().items()},
        check=lambda stored: {floor: Scored.read(each) for floor, each in stored.items()},
    )
    return {floor: Scored.read(each) for floor, each in found.items()}


@cache
def code() -> str:
    """A digest of the sources of `ROOMS`, and of the versions of `LIBRARIES`."""
    root, digest = Path(genarena.__file__).parent, hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    digest.update(" ".join(map(version, LIBRARIES)).encode())
    return digest.hexdigest()[:8]
