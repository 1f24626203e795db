"""Ranks. A model shares a rank if Welch's t-test finds no significant difference from the best model of that rank."""

import math

from genarena.leaderboard.lines import LIKELIHOOD_SIGNS, Line
from genarena.statistics.intervals import LEVEL, welch

# A table is ordered by the first of these metrics for which at least half of its contenders have a value.
LIKELIHOODS = ("bits_per_dim", "nll_nats")
RANKING = ("fid", "fd_domain", *LIKELIHOODS, *(f"{name}_given_label" for name in LIKELIHOODS))
REFERENCES = {"uniform": "floor", "gaussian": "floor", "memoriser": "ceiling", "heldout": "ceiling"}


def ranking_key(lines: list[Line], metrics: list[str]) -> str | None:
    """The metric that orders a table: the first in `RANKING` with values for at least half of the contenders."""
    contenders = [line for line in lines if line.competes]
    known = [key for key in RANKING if key in metrics]
    common = (
        key for key in known if 2 * sum(line.cells[key].value is not None for line in contenders) >= len(contenders)
    )
    return next(common, known[0] if known else None)


def ranked(lines: list[Line], key: str | None) -> list[Line]:
    """The lines, sorted by `key` (lower first), with ranks for the contenders. key: None: sorted by name, no ranks."""
    if key is None:
        return sorted(lines, key=lambda line: line.name)
    missing = math.inf
    lines = sorted(
        lines, key=lambda line: (missing if line.cells[key].value is None else line.cells[key].value, line.name)
    )
    contenders = [line for line in lines if _unranked(line, key) is None]
    values = [line.values(key) for line in contenders]
    # Each line is tested against the best of its rank. In tests against the line above, a chain of ties could join all lines.
    first, tests = 0, []
    for index, line in enumerate(contenders):
        p_value = welch(values[first], values[index]) if index else None
        tests.append((p_value, contenders[first].name))
        first = first if p_value is not None and p_value >= LEVEL else index
        line.place = first + 1
    tests[:1] = [(p_value, contenders[1].name) for p_value, _ in tests[1:2]]
    shared = [line.place for line in contenders]
    for index, line in enumerate(contenders):
        line.rank = f"{line.place}{'=' if shared.count(line.place) > 1 else ''}"
        if len(contenders) == 1:
            line.rank_note = "the only contender"
            continue
        p_value, other = tests[index]
        if p_value is None:
            line.rank += "?"
            line.rank_note = f"not tested against {other}: that takes two seeds of each"
        else:
            line.rank_note = f"{_verdict(p_value)} {other} (p = {p_value:.2g}"
            before = contenders[index - 1] if index else None
            if before and before.name != other:
                p_value = welch(values[index - 1], values[index])
                line.rank_note += "" if p_value is None else f"; {before.name}, the line above: p = {p_value:.2g}"
            line.rank_note += "; Welch's t-test over training seeds)"
    for line in lines:
        line.rank, line.rank_note = _unranked(line, key) or (line.rank, line.rank_note)
    return lines


def _verdict(p_value: float) -> str:
    return "a tie with" if p_value >= LEVEL else "differs from"


def _unranked(line: Line, key: str) -> tuple[str, str] | None:
    """The text in place of a rank, and the reason; None for a line that has a rank."""
    if line.is_reference:
        return REFERENCES.get(line.model, "reference"), "a reference, not a contender"
    if line.imported:
        return "imported", "made elsewhere, under a budget of its own: not ranked"
    if line.diverged:
        seeds = ", ".join(f"seed {seed}: {reason}" for seed, reason in line.diverged.items())
        return "–", f"not ranked, because training diverged ({seeds}): the other seeds would be a choice"
    if line.cells[key].value is None:
        return "–", "no value in the ranking column"
    if line.cells[key].sign == LIKELIHOOD_SIGNS["estimate"]:
        return "–", "not ranked: an estimated likelihood may err towards too good, exact ones and bounds do not"
    return None
