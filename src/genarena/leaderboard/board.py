"""A table as the page shows it: headings, badges, best cells, reasons, plots and pictures."""

from dataclasses import dataclass

from genarena.leaderboard import plots, reasons
from genarena.leaderboard.badges import Badge, badges
from genarena.leaderboard.drawing import Plot
from genarena.leaderboard.forest import Forest, forest
from genarena.leaderboard.heads import Head, heads
from genarena.leaderboard.illustrations import SAMPLES, Illustrations, RealSound
from genarena.leaderboard.images import Picture
from genarena.leaderboard.lines import Line
from genarena.leaderboard.networks import Network, networks
from genarena.leaderboard.players import Player
from genarena.leaderboard.ranking import best
from genarena.leaderboard.runs import Run
from genarena.leaderboard.tables import Table
from genarena.leaderboard.verdict import verdict


@dataclass(frozen=True)
class Shot:
    """One picture of a line: of one seed. player: of sound, what is seen."""

    run: Run
    picture: Picture
    player: Player | None = None


@dataclass(frozen=True)
class Board:
    """A table with all that is drawn of it.

    best: column -> names of its best lines. badges: name of a line -> its marks. shots: kind of picture -> lines with theirs.
    verdict: who is first, by how much, and whether that is known. real: of sound, the first test examples.
    """

    table: Table
    heads: list[Head]
    best: dict[str, set[str]]
    badges: dict[str, list[Badge]]
    why_ranks: list[reasons.Reason]
    why_empty: list[reasons.Reason]
    never: list[reasons.Reason]
    verdict: str
    networks: list[Network]
    forest: Forest | None
    plots: dict[str, list[Plot]]
    shots: dict[str, list[tuple[Line, list[Shot]]]]
    real: RealSound | None

    @property
    def hidden(self) -> set[str]:
        """Keys of the columns that are not seen at first."""
        return {head.column.key for head in self.heads if "overview" not in head.presets}

    @property
    def first(self) -> set[str]:
        """Names of the best lines by the ranking metric."""
        return self.best.get(self.table.ranked_by or "", set())

    @property
    def families(self) -> list[str]:
        return sorted({line.family for line in self.table.lines})

    def seeds(self, kind: str) -> list[int]:
        return sorted({shot.run.seed for _, shots in self.shots[kind] for shot in shots})

    def players(self, kind: str) -> list[Player]:
        """All that are beside pictures of this kind."""
        found = [shot.player for _, shots in self.shots[kind] for shot in shots if shot.player]
        return [*found, self.real.player] if found and self.real else found


def board(table: Table, beside: Illustrations, kinds: tuple[str, ...]) -> Board:
    """What the page shows of a table. kinds: of pictures."""
    return Board(
        table,
        heads(table),
        {column.key: best(table.lines, column.key) for column in table.columns},
        {line.name: badges(line) for line in table.lines},
        reasons.of_ranks(table),
        reasons.reasons(table),
        reasons.empty(table),
        verdict(table),
        networks(table),
        forest(table),
        plots.of_table(table, beside.validations),
        {kind: found for kind in kinds if (found := _shots(table, kind, beside))},
        beside.real.get(table.data_id),
    )


def _shots(table: Table, kind: str, beside: Illustrations) -> list[tuple[Line, list[Shot]]]:
    lines = [(line, [shot for run in line.runs if (shot := _shot(run, kind, beside))]) for line in table.lines]
    return [(line, shots) for line, shots in lines if shots]


def _shot(run: Run, kind: str, beside: Illustrations) -> Shot | None:
    picture = beside.pictures.get(run.folder, {}).get(kind)
    return picture and Shot(run, picture, beside.sounds.get(run.folder) if kind == SAMPLES else None)


def is_by_class(run: Run) -> bool:
    """Whether the samples of a run have a row for each class."""
    settings = (run.row.get("line") or {}).get("settings") or {}
    return settings.get("data.condition") == "label" or "data.condition=label" in run.overrides
