"""Runs that count as several seeds and are one: with the same weights, or the same images made elsewhere."""

from genarena.leaderboard.runs import Run

Key = tuple[str, int]  # identity of a line, seed


def without_twins(runs: dict[Key, Run]) -> tuple[dict[Key, Run], list[Run], dict[str, dict[int, int]]]:
    """The runs that count; those that are the same as one of a smaller seed of their line; and for each line, the seeds of
    these with the seeds of those. References may learn nothing from a seed, so theirs all count."""
    first: dict[tuple[str, str], int] = {}
    twins: dict[str, dict[int, int]] = {}
    for identity, seed in sorted(runs):
        same = _content(runs[identity, seed])
        if same and first.setdefault((identity, same), seed) != seed:
            twins.setdefault(identity, {})[seed] = first[identity, same]
    kept = {key: run for key, run in runs.items() if key[1] not in twins.get(key[0], {})}
    return kept, [run for key, run in runs.items() if key not in kept], twins


def _content(run: Run) -> str:
    """The sha256 of the images or of the weights; empty where it is not known."""
    if run.row["family"] == "baseline":
        return ""
    return (run.row.get("images") or {}).get("sha256") or (run.row.get("selected") or {}).get("sha256") or ""
