"""Ranks, as intervals: how many models are better for certain, and how many are worse for certain.

All pairs of a table are compared (`genarena.statistics.comparisons`). The first rank of a line is one more than the number of
lines that are significantly better, the last is the number of ranked lines less those that are significantly worse: `1–3`.
A tie (`=`) is another matter: the difference to the best is so small that it does not matter (`genarena.leaderboard.scales`).
"""

from collections.abc import Sequence

from genarena.errors import UserError
from genarena.leaderboard.cells import LIKELIHOOD_SIGNS, MIN_SEEDS, Cell
from genarena.leaderboard.lines import Gap, Line
from genarena.leaderboard.numbers import number
from genarena.leaderboard.scales import Scale, scale_of
from genarena.statistics.comparisons import Comparisons, compare

# A table is ordered by the first of these metrics for which at least half of its contenders have values of all their seeds that
# can be ranked. Distances of samples come first, because every family has samples, but only some have a likelihood. A kernel
# distance ranks where there are too few examples for a Frechet distance, which is biased, but is less noisy and better known.
LIKELIHOODS = ("bits_per_dim", "nll_nats")
DISTANCES = ("fid", "fd_dinov2", "fd_domain", "fd_efficientnet", "kd_domain", "kid")
RANKING = (*DISTANCES, "mr_stft", *LIKELIHOODS, "energy_distance")
RANKING += tuple(f"{name}_given_{condition}" for condition in ("label", "mel") for name in LIKELIHOODS)
REFERENCES = {"uniform": "floor", "gaussian": "floor", "gaussian_mel": "floor", "griffin_lim": "floor"}
REFERENCES |= {"memoriser": "ceiling", "heldout": "ceiling", "mu_law": "ceiling"}
UNTESTED = "?"  # in place of a rank: too few seeds to test a difference


def ranking_key(lines: list[Line], metrics: list[str], rank_by: str | None = None) -> str | None:
    """The metric that orders a table: `rank_by` where the table has it, else by the rule of `RANKING`.

    Raises UserError if `rank_by` has no better direction.
    """
    if rank_by in metrics:
        if scale_of(rank_by, lines).sign == 0:
            raise UserError(f"rank_by={rank_by}: of this metric neither more nor less is better")
        return rank_by
    contenders = [line for line in lines if line.competes]
    known = [key for key in RANKING if key in metrics]
    common = (key for key in known if 2 * sum(_is_whole(line.cells[key]) for line in contenders) >= len(contenders))
    return next(common, known[0] if known else None)


def is_comparable(cell: Cell) -> bool:
    """Whether there is a value that may be called better or worse: an estimated likelihood may err towards too good."""
    return cell.value is not None and cell.sign != LIKELIHOOD_SIGNS["estimate"]


def _is_whole(cell: Cell) -> bool:
    """Whether all seeds have a value: a metric that was scored later for some of them does not take the ranking over."""
    return is_comparable(cell) and not cell.unmeasured_seeds


def ranked(lines: list[Line], key: str | None) -> list[Line]:
    """The lines, the best value of `key` first, with ranks for the contenders. key: None: sorted by name, no ranks."""
    if key is None:
        return sorted(lines, key=lambda line: line.name)
    scale = scale_of(key, lines)
    lines = sorted(lines, key=lambda line: (scale.badness(line, key), line.name))
    for line in lines:
        line.rank, line.rank_note = _unranked(line, key) or (line.rank, line.rank_note)
        line.place = None
    contenders = [line for line in lines if _unranked(line, key) is None]
    untested = [line for line in lines if line.rank == UNTESTED]
    if len(contenders) > 1:
        _rank(contenders, key, scale)
    for line in contenders if len(contenders) == 1 else []:
        line.place, line.rank, line.rank_note = 1, "1", "the only contender"
        if untested:
            line.place, line.rank = None, UNTESTED
            line.rank_note = f"not ranked: no other line has {MIN_SEEDS} training seeds"
    return lines


def best(lines: Sequence[Line], key: str) -> set[str]:
    """Names of the contenders with the best value of a metric, and of those that are equivalent to it.

    Estimates are never best, and a line is not best for want of evidence against it. One with fewer than three seeds is not
    best either: which of such lines is better is not known.
    """
    scale = scale_of(key, lines)
    contenders = [line for line in lines if line.competes and is_comparable(line.cells[key])]
    tested = [line for line in contenders if line.cells[key].num_seeds >= MIN_SEEDS]
    tested = [line for line in tested if scale.badness(line, key) < float("inf")]
    if not scale.has_direction or not tested:
        return set()
    top = min(tested, key=lambda line: scale.badness(line, key))
    names = {line.name for line in tested if scale.badness(line, key) == scale.badness(top, key)}
    if len(tested) > 1:
        gaps = _gaps(tested, top, key, scale)[1]
        names |= {line.name for line, gap in zip(tested, gaps, strict=True) if gap.equivalent}
    return names


def _gaps(lines: list[Line], top: Line, key: str, scale: Scale) -> tuple[Comparisons, list[Gap]]:
    """The comparisons of all lines with each other, and the difference of each to `top`."""
    found = compare([scale.of(line.cells[key].values) for line in lines])
    at = next(index for index, line in enumerate(lines) if line is top)
    margin, gaps = scale.margin_at(top.cells[key].value), []
    for index in range(len(lines)):
        value, half = float(found.differences[index, at]), float(found.half_widths[index, at])
        ends = (value, value - half, value + half) if index != at else (0.0, 0.0, 0.0)
        equivalent = -margin <= ends[1] and ends[2] <= margin
        gaps.append(Gap(top.name, *map(scale.shown, ends), scale.is_log, equivalent))
    return found, gaps


def _rank(lines: list[Line], key: str, scale: Scale) -> None:
    """Set rank, place, note and gap of at least two lines, the best first."""
    found, gaps = _gaps(lines, lines[0], key, scale)
    better = found.different & (scale.sign * found.differences < 0.0)  # [i, j]: i is significantly better than j
    is_tied = sum(gap.equivalent for gap in gaps) > 1
    for index, (line, gap) in enumerate(zip(lines, gaps, strict=True)):
        first, last = 1 + int(better[:, index].sum()), len(lines) - int(better[index].sum())
        line.place, line.gap = first, gap
        line.rank = f"{first}" if first == last else f"{first}–{last}"
        line.rank += "=" if gap.equivalent and is_tied else ""
        counts = f"{first - 1} of {len(lines) - 1} significantly better, {len(lines) - last} significantly worse"
        p_value = float(found.p_values[index, 0])
        line.rank_note = f"the best value; {counts}" if index == 0 else f"{_difference(gap, p_value)}; {counts}"


def _difference(gap: Gap, p_value: float) -> str:
    sign = "" if gap.is_ratio else "+"
    value, low, high = (f"{'-' if end < 0 else sign}{number(abs(end))}" for end in (gap.value, gap.low, gap.high))
    told = f"{value} times {gap.to}" if gap.is_ratio else f"{value} to {gap.to}"
    tied = ", a tie: too close to matter" if gap.equivalent else ""
    return f"{told} (simultaneous 95% interval {low} to {high}; p = {p_value:.2g}, of this pair alone){tied}"


def _unranked(line: Line, key: str) -> tuple[str, str] | None:
    """The text in place of a rank, and the reason; None for a line that has a rank."""
    cell = line.cells[key]
    if line.is_reference:
        return REFERENCES.get(line.model, "reference"), "a reference, not a contender"
    if line.imported:
        return "imported", "made elsewhere, under a budget of its own: not ranked"
    if line.diverged:
        seeds = ", ".join(f"seed {seed}: {reason}" for seed, reason in line.diverged.items())
        return "–", f"not ranked, because training diverged ({seeds}): the other seeds would be a choice"
    if line.alarm:
        return "–", f"not ranked, because a copy of the data is no model of it: {line.alarm}"
    if line.unchecked:
        return "–", f"not ranked, because {line.unchecked}"
    if line.starved:
        return "–", f"not ranked, because the minutes of a busy machine are no measure: {line.starved}"
    if cell.value is None:
        return "–", "no value in the ranking column"
    if not is_comparable(cell):
        return "–", "not ranked: an estimated likelihood may err towards too good, exact ones and bounds do not"
    if cell.num_seeds < MIN_SEEDS:
        return UNTESTED, f"not ranked: it takes {MIN_SEEDS} training seeds to tell models apart, here: {cell.num_seeds}"
    return None
