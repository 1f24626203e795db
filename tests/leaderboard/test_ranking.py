"""Ranks are intervals, ties are small differences, and what may not be ranked is not."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from genarena.errors import UserError
from genarena.leaderboard import formats
from genarena.leaderboard.lines import Line
from genarena.leaderboard.ranking import best, ranked, ranking_key
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.scales import scale_of
from genarena.leaderboard.scatter import Wish, scatter
from genarena.leaderboard.tables import Table, make_tables
from tests.leaderboard.rows import make_protocol, make_row, write_rows
from tests.leaderboard.simulations import make_lines

FAR = {"a": (1.0, 1.1, 1.05), "b": (2.0, 2.2, 2.1), "c": (9.0, 9.4, 9.9)}
CLOSE = {"a": (1.0, 1.2, 1.1), "b": (1.1, 1.3, 1.25), "c": (9.0, 9.4, 9.9)}


def made(values: dict[str, tuple[float, ...]], **record: object) -> list[Line]:
    lines = make_lines(list(values.values()), **record)
    for name, line in zip(values, lines, strict=True):
        for run in line.runs:
            run.row["model"] = name
    return lines


def ranks(values: dict[str, tuple[float, ...]], **record: object) -> dict[str, str]:
    return {line.name: line.rank for line in ranked(made(values, **record), "fd")}


def table(tmp_path: Path, *rows: dict, rank_by: str | None = None) -> Table:
    (found,) = make_tables(find_runs(write_rows(tmp_path, list(rows)))[0], rank_by)
    return found


def seeds(model: str, *values: float, **changes: object) -> list[dict]:
    return [make_row(model, seed, value, **changes) for seed, value in enumerate(values)]


# -- ranks -------------------------------------------------------------------------------------------------------------


def test_ranks_are_intervals() -> None:
    assert ranks(FAR) == {"a": "1", "b": "2", "c": "3"}
    assert ranks(CLOSE) == {"a": "1–2", "b": "1–2", "c": "3"}


def test_more_is_better_where_the_metric_says_so() -> None:
    shares = {"a": (0.5, 0.51, 0.52), "b": (0.9, 0.91, 0.92), "c": (0.1, 0.11, 0.12)}
    assert ranks(shares, range=[0.0, 1.0], higher_is_better=True) == {"b": "1", "a": "2", "c": "3"}


@pytest.mark.parametrize("values", [(1.0,), (1.15, 2.25)])
def test_fewer_than_three_seeds_have_no_rank(values: tuple[float, ...]) -> None:
    lines = ranked(made({"a": values, "b": values, "c": (5.0,) * len(values)}), "fd")
    assert [line.rank for line in lines] == ["?", "?", "?"]
    assert lines[0].rank_note == f"not ranked: it takes 3 training seeds to tell models apart, here: {len(values)}"


def test_only_lines_with_three_seeds_are_ranked_among_each_other() -> None:
    assert ranks(FAR | {"d": (0.5, 0.6)}) == {"d": "?", "a": "1", "b": "2", "c": "3"}
    assert ranks({"a": FAR["a"], "d": (0.5, 0.6)}) == {"d": "?", "a": "?"}
    assert ranks({"a": FAR["a"]}) == {"a": "1"}


def test_the_note_has_the_ratio_to_the_best_and_its_interval() -> None:
    """Two models are compared by Welch's test, here of logarithms."""
    values = {"a": (1.0, 1.1, 1.2), "b": (2.0, 2.3, 2.5)}
    first, second = ranked(made(values), "fd")
    one, other = (np.log(values[name]) for name in "ab")
    low, high = stats.ttest_ind(other, one, equal_var=False).confidence_interval(0.95)
    assert second.gap.is_ratio and second.gap.to == "a"
    expected = [np.exp(other.mean() - one.mean()), np.exp(low), np.exp(high)]
    assert [second.gap.value, second.gap.low, second.gap.high] == pytest.approx(expected)
    assert second.rank_note.startswith("2.058 times a (simultaneous 95% interval 1.")
    assert "1 of 1 significantly better" in second.rank_note and "1 significantly worse" in first.rank_note


def test_likelihoods_are_compared_as_differences() -> None:
    bits = {"a": (3.0, 3.01, 3.02), "b": (3.5, 3.51, 3.52)}
    _, second = ranked(made(bits, likelihood="exact", unit="bits/dim"), "fd")
    assert not second.gap.is_ratio and second.gap.value == pytest.approx(0.5)
    assert second.rank_note.startswith("+0.5000 to a (simultaneous 95% interval +0.4")


def test_distances_of_zero_have_no_logarithm() -> None:
    lines = made({"a": (0.0, 0.1, 0.2), "b": (5.0, 5.1, 5.2)})
    assert not scale_of("fd", lines).is_log
    assert scale_of("fd", made(FAR)).is_log
    assert not scale_of("fd", made(FAR, range=[None, None])).is_log  # an unbiased estimate may be negative


# -- ties --------------------------------------------------------------------------------------------------------------


def test_a_tie_is_a_small_difference_and_not_a_lack_of_evidence() -> None:
    near = {"a": (1.0, 1.001, 1.002), "b": (1.01, 1.011, 1.012), "c": (1.2, 1.201, 1.202)}
    assert ranks(near) == {"a": "1=", "b": "2=", "c": "3"}  # certain, and too small to matter
    assert best(made(near), "fd") == {"a", "b"}
    assert best(made(CLOSE), "fd") == {"a"}


def test_few_seeds_are_not_rewarded(tmp_path: Path) -> None:
    """A line whose rank is `?` is not the best of any column, has no place and is on no front."""
    assert best(made({"a": (1.0, 1.1, 1.05), "b": (0.9, 1.0)}), "fd") == {"a"}
    assert best(made({"a": (1.0,), "b": (0.9, 1.0)}), "fd") == set()
    lines = ranked(made(FAR | {"d": (0.5, 0.6)}), "fd") + ranked(made({"a": FAR["a"], "d": (0.5, 0.6)}), "fd")
    assert {line.place for line in lines if line.rank == "?"} == {None}
    rows = seeds("two", 0.5, 0.6) + seeds("vae", 1.0, 1.1, 1.2) + seeds("glow", 2.0, 2.1, 2.2)
    for row in rows:
        row["cost"]["parameters"] = {"two": 5, "vae": 20, "glow": 10}[row["model"]]
    plot = scatter(table(tmp_path, *rows), Wish("parameters", "fd_domain", "Quality against size"))
    at = {mark.line.model: f"{mark.x:.1f},{mark.y:.1f}" for mark in plot.marks}
    corners = plot.front.split()
    assert (corners[0], corners[-1]) == (at["glow"], at["vae"]) and at["two"] not in corners


def test_wide_intervals_are_not_rewarded() -> None:
    assert best(made({"a": (85.0, 80.0, 90.0), "b": (106.0, 80.0, 132.0)}), "fd") == {"a"}


@pytest.mark.parametrize(
    ("record", "gap", "is_tied"),
    [
        ({"likelihood": "exact", "unit": "bits/dim"}, 0.005, True),
        ({"likelihood": "exact", "unit": "bits/dim"}, 0.02, False),
        ({"likelihood": "exact", "unit": "nats"}, 0.015, True),
        ({"likelihood": "exact", "unit": "nats"}, 0.03, False),
        ({"range": [0.0, 1.0]}, 0.008, True),
        ({"range": [0.0, 1.0]}, 0.02, False),
        ({"range": [None, None]}, 0.02, True),  # 5% of 0.5
        ({"range": [None, None]}, 0.03, False),
    ],
)
def test_margins(record: dict, gap: float, is_tied: bool) -> None:
    values = {"a": (0.5, 0.5001, 0.5002), "b": (0.5 + gap, 0.5001 + gap, 0.5002 + gap)}
    assert best(made(values, **record), "fd") == ({"a", "b"} if is_tied else {"a"})


# -- best --------------------------------------------------------------------------------------------------------------


def test_an_estimate_is_never_best_nor_on_a_front(tmp_path: Path) -> None:
    rows = seeds("vae", 2.0, 2.1, 2.2) + seeds("ebm", 1.0, 1.1, 1.2)
    for row in rows[3:]:
        row["metrics"]["bits_per_dim"] |= {"value": 0.1, "likelihood": "estimate"}
        row["metrics"]["fd_domain"] |= {"value": 9.0}
        row["cost"]["parameters"] = 99
    found = table(tmp_path, *rows)
    assert best(found.lines, "bits_per_dim") == {"vae"}
    plot = scatter(found, Wish("bits_per_dim", "fd_domain", "Likelihood against quality"))
    (vae,) = (mark for mark in plot.marks if mark.line.name == "vae")
    assert plot.front.split() == [f"{vae.x},{vae.y}"]


def test_nearest_to_real_is_best() -> None:
    """Half the spread of the data has a density of 4.6, and real data 1."""
    values = {"narrow": (4.6, 4.5, 4.7), "fair": (0.9, 0.95, 0.97), "poor": (0.2, 0.1, 0.3)}
    facts = {"higher_is_better": None, "towards_real": True, "real": 1.0}
    assert best(made(values, **facts), "fd") == {"fair"}
    assert best(made(values, **(facts | {"real": None})), "fd") == set()
    assert best(made(values, higher_is_better=None), "fd") == set()


def test_best_leaves_references_and_imported_rows_out(tmp_path: Path) -> None:
    rows = seeds("vae", 1.0, 1.2, 1.1) + seeds("glow", 2.1, 2.3, 2.2)
    rows += seeds("memoriser", 0.1, 0.1, 0.1, family="baseline")
    found = table(tmp_path, *rows, make_row("theirs", value=0.2, imported=True))
    assert best(found.lines, "fd_domain") == {"vae"}
    assert best(found.lines, "parameters") == set()


# -- what has no rank ----------------------------------------------------------------------------------------------------


def test_a_copier_has_no_rank_and_is_not_best(tmp_path: Path) -> None:
    rows = seeds("copier", 0.5, 0.5, 0.6) + seeds("vae", 1.0, 1.1, 1.2) + seeds("glow", 2.0, 2.1, 2.2)
    rows[1]["metrics"]["authpct"] = {"value": 1.0, "n": 100, "alarm": "99% of samples are copies"}
    found = table(tmp_path, *rows)
    copier = found.lines[0]
    assert (copier.name, copier.rank, copier.place) == ("copier", "–", None)
    assert "99% of samples are copies" in copier.rank_note
    assert [line.rank for line in found.lines[1:]] == ["1", "2"]
    assert best(found.lines, "fd_domain") == {"vae"}


def test_a_starved_run_has_no_rank_under_minutes(tmp_path: Path) -> None:
    rows = seeds("ddpm", 0.5, 0.5, 0.6) + seeds("vae", 1.0, 1.1, 1.2)
    for row in rows:
        row["budget"] = {"name": "cpu_1min", "minutes": 1.0, "examples": None}
    rows[1]["machine"] |= {"starved": "0.4 CPU seconds per second and thread"}
    found = table(tmp_path, *rows)
    assert [line.rank for line in found.lines] == ["–", "1"]
    assert "0.4 CPU seconds" in found.lines[0].rank_note
    assert best(found.lines, "fd_domain") == {"vae"}
    (tmp_path / "examples").mkdir()
    for row in rows:
        row["budget"] = {"name": "smoke", "minutes": None, "examples": 64}
    assert [line.rank for line in table(tmp_path / "examples", *rows).lines] == ["1", "2"]


# -- the metric that ranks ---------------------------------------------------------------------------------------------------


def test_a_metric_scored_later_for_one_seed_does_not_rank_the_table(tmp_path: Path) -> None:
    rows = [make_row("vae", seed=seed) for seed in range(3)]
    for row in rows[1:]:
        del row["metrics"]["fd_domain"]
    found = table(tmp_path, *rows)
    assert found.lines[0].cells["fd_domain"].num_seeds == 1
    assert (found.ranked_by, found.lines[0].rank) == ("bits_per_dim", "1")


def test_the_ranking_metric_can_be_chosen(tmp_path: Path) -> None:
    rows = seeds("vae", 1.0, 1.1, 1.2) + seeds("glow", 2.0, 2.1, 2.2)
    for row in rows:
        row["metrics"]["recall"] = {"value": 0.5, "n": 100, "higher_is_better": None}
    write_rows(tmp_path, rows)
    runs = find_runs(tmp_path)[0]
    assert make_tables(runs)[0].ranked_by == "fd_domain"
    assert make_tables(runs, "bits_per_dim")[0].ranked_by == "bits_per_dim"
    with pytest.raises(UserError, match="rank_by=recall: of this metric neither more nor less is better"):
        make_tables(runs, "recall")
    with pytest.raises(UserError, match=r"rank_by=fid: no table has this metric; there are .*bits_per_dim"):
        make_tables(runs, "fid")


def test_vectors_are_ranked_by_the_first_metric_that_half_of_them_have() -> None:
    """Two flows have a likelihood, three others only samples; an estimate is no value to rank by."""
    lines = made(dict.fromkeys(("maf", "nsf", "gan", "wgan", "ebm"), (1.0,)))
    for index, line in enumerate(lines):
        kind = ("exact", "exact", None, None, "estimate")[index]
        cell = line.cells["fd"]
        line.cells = {
            "energy_distance": cell,
            "nll_nats": type(cell)(None if kind is None else 2.0, sign={"exact": "=", "estimate": "~"}.get(kind, "")),
        }
    assert ranking_key(lines, ["nll_nats", "energy_distance"]) == "energy_distance"
    assert ranking_key(lines[:3], ["nll_nats", "energy_distance"]) == "nll_nats"


# -- other formats -------------------------------------------------------------------------------------------------------


def test_json_has_what_a_number_stands_on(tmp_path: Path) -> None:
    rows = seeds("vae", 1.0, 1.1, 1.2) + seeds("glow", 2.0, 2.2, 2.4)
    for row in rows:
        row["metrics"]["fd_domain"] |= {"standard_error": 0.1, "unit": "", "range": [0.0, None]}
    found = table(tmp_path, *rows)
    first, second = json.loads(formats.as_json([found]))["lines"]
    cell = first["cells"]["fd_domain"]
    assert (cell["n"], cell["standard_error"], cell["values"]) == (100, pytest.approx(0.1), [1.0, 1.1, 1.2])
    assert (cell["runs"], cell["unit"], cell["protocol"]) == (
        ["vae-0", "vae-1", "vae-2"],
        "",
        make_protocol("fd_domain")["id"],
    )
    assert cell["ci95"] == pytest.approx([1.1 - cell["ci95_half_width"], 1.1 + cell["ci95_half_width"]])
    assert second["gap"]["to"] == "vae" and second["gap"]["low"] < second["gap"]["value"] < second["gap"]["high"]
    flat = formats.flat(first)
    assert "parameters_se" not in flat
    assert (flat["fd_domain"], flat["fd_domain_n"], flat["fd_domain_se"]) == (
        cell["value"],
        100,
        cell["standard_error"],
    )
