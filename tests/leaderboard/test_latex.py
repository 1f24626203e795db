"""LaTeX tables: one per aspect, no wider than a page, with a caption of protocol and n that says what is there."""

import re
from pathlib import Path

import pytest

from genarena.errors import UserError
from genarena.leaderboard import latex
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from tests.leaderboard.benchmark import benchmark
from tests.leaderboard.rows import make_row, write_rows


def tables(text: str) -> list[str]:
    return re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL)


def written(tmp_path: Path, *rows: dict) -> list[str]:
    return tables(latex.latex(make_tables(find_runs(write_rows(tmp_path, list(rows)))[0])))


def seeds(model: str, *values: float, **changes: object) -> list[dict]:
    return [make_row(model, seed, value, **changes) for seed, value in enumerate(values)]


def test_a_table_stands_on_its_own(tmp_path: Path) -> None:
    rows = seeds("vae", 1.0, 1.1, 1.2) + seeds("glow", 2.0, 2.2, 2.4) + seeds("uniform", 9.0, family="baseline")
    for row in rows:
        row["metrics"]["fd_domain"] |= {"protocol": "1a2b3c4d", "standard_error": 0.1, "real": -0.5}
    rows[-1]["metrics"]["fd_domain"]["n"] = 70
    first, second = written(tmp_path, *rows)
    caption = first.splitlines()[2]
    assert caption.startswith(
        "\\caption{Quality on digits-0, budget smoke: 64 examples, ranked by fd domain. fd domain: n 100, references also 70, "
    )
    assert "protocol 1a2b3c4d" in caption and "Bold: the best" in caption and "1 to 3 seeds." in caption
    assert "exact" not in caption and "Rank ?" not in caption  # nothing that is not in the table
    body = [line for line in first.splitlines() if " & " in line or "rule" in line]
    assert [line.split(" & ")[1] if "&" in line else line for line in body] == [
        "\\toprule", "model", "\\midrule", "vae", "glow", "\\midrule", "uniform", "real data", "\\bottomrule",
    ]  # fmt: skip
    assert "\\textbf{1.10" in body[3] and "textbf{2.2" not in first and "textbf{9" not in first
    assert body[6].endswith(r"9.00 $\pm$ 0.10$^\dagger$ \\")  # one seed among others of three
    assert body[7].endswith(r"$-$0.50 \\")
    assert "Likelihood on digits-0" in second and r"=: exact, $\le$: bound" in second


def test_of_one_seed_each_nothing_is_marked(tmp_path: Path) -> None:
    rows = seeds("vae", 1.0) + seeds("glow", 2.0)
    for row in rows:
        row["metrics"]["fd_domain"]["standard_error"] = 0.1
    first = written(tmp_path, *rows)[0]
    assert "dagger" not in first and "textbf" not in first and "Bold" not in first
    assert r"1 seed each. $\pm$: standard error of samples and test examples." in first
    assert "Rank ?: fewer than 3 seeds." in first


@pytest.mark.parametrize("count", [1, 4, 9])
def test_no_table_is_wider_than_a_page(tmp_path: Path, count: int) -> None:
    """Four metrics at most, and what is still too wide is made to fit."""
    row, other = make_row("vae"), make_row("glow")
    for each in (row, other):
        each["metrics"] = {f"m{i}": {"value": float(i), "n": 10, "protocol": f"{i:08x}"} for i in range(count)}
    found = written(tmp_path, row, other)
    heads = [re.search(r"\\begin\{tabular\}\{ll(r+)\}", text)[1] for text in found]
    assert sum(map(len, heads)) == count and max(map(len, heads)) <= 4
    assert all(latex.FITTED in text for text in found)
    labels = re.findall(r"\\label\{(.*?)\}", "".join(found))
    assert len(set(labels)) == len(found)


def test_braces_and_rows_are_whole(tmp_path: Path) -> None:
    """Every row has as many cells as the table has columns, and braces close: what LaTeX would stop at."""
    text = latex.latex(make_tables(find_runs(write_rows(tmp_path, benchmark(seeds=1)))[0]))
    for table in tables(text):
        bare = table.replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}")
        columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", table)[1])
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert {line.replace(r"\&", "").count("&") + 1 for line in rows} == {columns}
        assert "\n\n" not in table


def test_the_columns_that_a_paper_has_room_for(tmp_path: Path) -> None:
    made = make_tables(find_runs(write_rows(tmp_path, seeds("vae", 1.0, 1.1, 1.2)))[0])
    (only,) = tables(latex.latex(made, ["train_seconds", "fd_domain"]))
    head = next(line for line in only.splitlines() if line.startswith("rank"))
    assert [part.split(" ")[0] for part in head.split(" & ")] == ["rank", "model", "Training", "fd"]
    assert "Results on digits-0" in only and "Training seconds:" not in only
    with pytest.raises(UserError, match=r"columns=fid: no table has this column; there are .*bits_per_dim"):
        latex.latex(made, ["fid"])
    with pytest.raises(UserError, match=r"columns=fid: expected a list, e\.g\. columns=\[fid\]"):
        latex.latex(made, "fid")
