"""Scores of floors: made once for all models of a data set, and kept in the cache, under the data id, the id of the protocol of
the case with a digest of the domain classifiers, and a digest of the code and of the libraries that they are computed with."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from genarena.evaluation import features
from genarena.tasks import sources
from genarena.tasks.base import COLUMNS
from genarena.tasks.restoring.records import Score, Scores
from genarena.tasks.restoring.restored import Restored

CODE = "genarena.tasks.restoration"  # of all numbers


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
    name = f"{data_id}/floors-{judged}-{sources.digest_of(CODE)}.pt"
    found = features.cached_once(
        name,
        lambda: {floor: asdict(each) for floor, each in make().items()},
        check=lambda stored: {floor: Scored.read(each) for floor, each in stored.items()},
    )
    return {floor: Scored.read(each) for floor, each in found.items()}
