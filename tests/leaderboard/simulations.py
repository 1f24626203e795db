"""What the statistics of the leaderboard promise, on simulated tables with a known truth.

`python -m tests.leaderboard.simulations` prints the tables of docs/statistics.md (two minutes); a number behind it
makes that many tables instead of 4,000.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from genarena.leaderboard.cells import MIN_SEEDS, cell
from genarena.leaderboard.lines import Line, fill
from genarena.leaderboard.ranking import best, ranked
from genarena.leaderboard.runs import Run
from genarena.leaderboard.scales import RATIO
from genarena.statistics.comparisons import compare

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
SPREADS: dict[str, Callable[[int], np.ndarray]] = {  # of a table of m models
    "equal": np.ones,
    "from 1 to 4": lambda m: np.geomspace(1, 4, m),
    "from 1 to 10": lambda m: np.geomspace(1, 10, m),
    "half of them 5": lambda m: np.where(np.arange(m) < m // 2, 1.0, 5.0),
    "one of them 5": lambda m: np.where(np.arange(m) < m - 1, 1.0, 5.0),
}


def make_lines(values: Sequence[Sequence[float]], errors: float | None = None, **record: object) -> list[Line]:
    """Lines of a table with the metric `fd`: one for each list of values, one value for each seed."""
    facts = {"n": 100, "higher_is_better": False, "range": [0.0, None], "standard_error": errors} | record
    lines = []
    for index, seeds in enumerate(values):
        shared = {"model": f"m{index}", "family": "vae", "protocol": {"metrics": {}}}
        metrics = [{"fd": {"value": float(value)} | facts} for value in seeds]
        rows = [shared | {"seed": seed, "metrics": found} for seed, found in enumerate(metrics)]
        lines.append(Line([Run(row, Path(f"m{index}")) for row in rows]))
    fill(lines, ["fd"])
    return lines


def claims(spreads: np.ndarray, num_seeds: int, tables: int, seed: int = 0) -> float:
    """Share of tables of models with the same mean in which any two are said to differ."""
    generator, claimed = np.random.default_rng(seed), 0
    for _ in range(tables):
        values = generator.normal(size=(len(spreads), num_seeds)) * spreads[:, None]
        claimed += bool(compare(values.tolist()).different.any())
    return claimed / tables


def ranks_claim(num_models: int, num_seeds: int, tables: int, seed: int = 0) -> float:
    """The same with the printed ranks of distances whose logarithms have equal spreads; also with too few seeds to test."""
    generator, claimed = np.random.default_rng(seed), 0
    for _ in range(tables):
        lines = ranked(make_lines(np.exp(0.2 * generator.normal(size=(num_models, num_seeds)))), "fd")
        claimed += any(line.rank not in ("?", f"1–{num_models}") for line in lines)
    return claimed / tables


def found(gap: float, num_models: int, num_seeds: int, tables: int, seed: int = 0) -> float:
    """Share of the significant differences between one model and all others, which lie `gap` standard deviations from it."""
    generator, hits = np.random.default_rng(seed), 0.0
    for _ in range(tables):
        values = generator.normal(size=(num_models, num_seeds))
        values[0] -= gap
        hits += compare(values.tolist()).different[0, 1:].mean()
    return hits / tables


def coverage(num_seeds: int, training: float, samples: float, examples: float, tables: int, seed: int = 0) -> float:
    """Share of cells whose interval holds the truth.

    training, samples, examples: standard deviations due to the training seed, to each run's own samples, and to the test
    examples, which all seeds share. The recorded standard error is that of samples and examples, as in a row.
    """
    generator, covered = np.random.default_rng(seed), 0
    for _ in range(tables):
        own = generator.normal(0.0, np.hypot(training, samples), num_seeds)
        values = 100.0 + own + generator.normal(0.0, examples)
        (line,) = make_lines([values], errors=float(np.hypot(samples, examples)))
        low, high = cell("fd", line.runs).interval
        covered += low <= 100.0 <= high
    return covered / tables


def ties(ratio: float, spread: float, num_models: int, num_seeds: int, tables: int, seed: int = 0) -> float:
    """Share of tables in which a model is called equivalent to the best, `ratio` times better than all others.

    spread: standard deviation over training seeds of the logarithms.
    """
    generator, claimed = np.random.default_rng(seed), 0
    for _ in range(tables):
        logs = spread * generator.normal(size=(num_models, num_seeds))
        logs[1:] += np.log(ratio)
        names = best(make_lines(np.exp(logs)), "fd")
        claimed += "m0" in names and len(names) > 1
    return claimed / tables


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows))


def main(tables: int = 4000) -> None:
    shapes = ((2, 3), (5, 3), (10, 3), (20, 3), (10, 5), (20, 5))
    head = ["standard deviations", *(f"{m} models, {r} seeds" for m, r in shapes)]
    rows = [[name, *(f"{claims(of(m), r, tables):.1%}" for m, r in shapes)] for name, of in SPREADS.items()]
    print(f"Tables that claim a difference where there is none\n\n{_table(head, rows)}\n")
    rows = [[f"{gap} sd", *(f"{found(gap, m, r, tables):.0%}" for m, r in shapes)] for gap in (2, 3, 5)]
    print(f"Differences that are found\n\n{_table(['gap', *head[1:]], rows)}\n")
    cases = ((1, 0, 0), (1, 0, 1), (0, 0, 1), (1, 0, 3), (1, 1, 1), (0, 1, 1))
    rows = [[*case, *(f"{coverage(r, *map(float, case), tables):.1%}" for r in (MIN_SEEDS, 5, 10))] for case in cases]
    names = ["training", "samples", "test examples", "3 seeds", "5 seeds", "10 seeds"]
    print(f"Intervals of cells that hold the truth\n\n{_table(names, rows)}\n")
    shapes = ((2, 3), (10, 3), (10, 5))
    rows = [
        [f"{ratio:g}", f"{spread:.1%}", *(f"{ties(ratio, spread, m, r, tables // 2):.1%}" for m, r in shapes)]
        for ratio in (RATIO, 1.0)
        for spread in (0.003, 0.01, 0.03, 0.1)
    ]
    head = ["ratio to the best", "standard deviation", *(f"{m} models, {r} seeds" for m, r in shapes)]
    print(f"Tables with a tie\n\n{_table(head, rows)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
