"""How far the metrics can be trusted: curves to scale, verdicts in words, published numbers, files that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from genarena.leaderboard import page
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from genarena.leaderboard.trusted import HEIGHT, MARGIN, WIDTH, Trust, find_trust
from genarena.published import disturbance_report
from genarena.published.disturbances import Curve
from tests.leaderboard.rows import make_row, write_rows

FACTS = {
    "data": "digits-0",
    "n": 270,
    "repeats": 2,
    "space": "domain",
    "command": "python scripts/disturb.py data=digits",
}
CURVES = [
    Curve("fd_domain", "noise", (0, 0.2, 0.8), [[1.0, 2.0, 5.0], [3.0, 4.0, 7.0]]),
    Curve("fd_domain", "copies", (0, 0.5, 1.0), [[2.0, 2.0, 2.0]] * 2),
    Curve("precision", "noise", (0, 0.2, 0.8), [[0.9, 0.4, 0.5], [0.9, 0.4, 0.5]]),
    Curve("recall", "dropped classes", (0, 0.25, 0.5), [[0.5, 0.6, 0.7]] * 2),
]
NUMBER: dict[str, Any] = {
    "experiment": "made_binary_mnist",
    "command": "python scripts/reproduce.py name=made_binary_mnist",
    "published": {
        "metric": "nll_nats",
        "value": 88.4,
        "tolerance": 0.5,
        "source": "a paper",
        "differs": "",
        "cost": "",
    },
    "reached": False,
    "record": {"value": 89.125, "n": 10_000, "sign": "≤"},
}


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    write_rows(tmp_path, [make_row("made"), make_row("vae", value=2.0)])
    disturbance_report.write(CURVES, {"fd_clip": "no weights"}, FACTS, tmp_path / "disturbances" / "digits-domain")
    (tmp_path / "digits" / "made" / "0" / "reproduced.json").write_text(json.dumps(NUMBER))
    return tmp_path


def rendered(runs_dir: Path, trust: Trust) -> str:
    return page.render(make_tables(find_runs(runs_dir)[0]), [], trust=trust)


def test_curves_are_to_scale_and_verdicts_in_words(runs_dir: Path) -> None:
    (suite,) = find_trust(runs_dir).suites
    rows = {row.metric: row for row in suite.rows}
    noise, copies, _ = rows["fd_domain"].cells
    left, bottom, height = MARGIN, HEIGHT - MARGIN, HEIGHT - 2 * MARGIN
    means = [2.0, 3.0, 6.0]  # on a scale from 1 to 7, those of single splits
    wide = WIDTH - 2 * MARGIN
    expected = [
        (left + wide * s / 0.8, bottom - height * (v - 1) / 6) for s, v in zip((0, 0.2, 0.8), means, strict=True)
    ]
    assert noise.dots == [pytest.approx(point, abs=0.06) for point in expected]
    assert len(noise.singles) == 2 and noise.ends == "2 → 6"
    assert (noise.kind, noise.verdict) == ("good", "rises as it should")
    assert (copies.kind, copies.verdict) == ("", "nothing expected")
    assert rows["precision"].cells[0].verdict == "uneven, falls in all"
    assert rows["recall"].cells[2].verdict == "blind: does not fall"
    assert [(row.metric, row.num_noticed, row.num_expected) for row in suite.rows] == [
        ("fd_domain", 1, 1),
        ("precision", 1, 1),
        ("recall", 0, 1),
    ]
    assert suite.heads[0] == ("noise", "Gaussian noise with this standard deviation, for values in [-1, 1]", "0.8")


def test_the_page_has_the_commands_and_the_numbers(runs_dir: Path) -> None:
    text = rendered(runs_dir, find_trust(runs_dir))
    run = next(run for run in find_runs(runs_dir)[0] if run.model == "made")
    for part in (
        "made by <code>python scripts/disturb.py data=digits</code>",
        "no <code>fd_clip</code>: no weights",
        "notices 0 of 1",
        f'<a href="#{run.anchor}">made_binary_mnist</a>',
        "≤89.12",
        "<b>not reached</b>",
        "<code>python scripts/reproduce.py name=made_binary_mnist</code>",
    ):
        assert part in text, part


def test_what_was_not_measured_is_named_with_its_command(tmp_path: Path) -> None:
    write_rows(tmp_path, [make_row()])
    assert find_trust(tmp_path) == Trust()
    text = rendered(tmp_path, Trust())
    assert "python scripts/disturb.py data=&lt;d&gt;" in text and "python scripts/reproduce.py name=&lt;" in text


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("disturbances/digits-domain/disturbances.json", {"curves": []}),
        ("disturbances/digits-domain/disturbances.json", {"space": 3}),
        ("digits/made/0/reproduced.json", {"record": {"value": None, "n": 3}}),
        ("digits/made/0/reproduced.json", {"reached": "yes"}),
    ],
)
def test_a_file_that_is_none_is_left_out_with_a_line(runs_dir: Path, name: str, change: dict) -> None:
    path = runs_dir / name
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    trust = find_trust(runs_dir)
    assert (len(trust.suites), len(trust.numbers)) == ((0, 1) if "disturb" in name else (1, 0))
    assert len(trust.broken) == 1 and name in trust.broken[0]
    assert 'id="left-out"' in rendered(runs_dir, trust)


def test_a_curve_without_a_value_per_strength_is_refused(runs_dir: Path) -> None:
    path = runs_dir / "disturbances/digits-domain/disturbances.json"
    content = json.loads(path.read_text())
    content["curves"][0]["values"][0].pop()
    path.write_text(json.dumps(content))
    trust = find_trust(runs_dir)
    assert not trust.suites and "has not one value per strength" in trust.broken[0]


def test_texts_of_files_are_escaped(runs_dir: Path) -> None:
    path = runs_dir / "digits/made/0/reproduced.json"
    path.write_text(json.dumps(NUMBER | {"experiment": "<script>alert(1)</script>"}))
    assert "<script>alert" not in rendered(runs_dir, find_trust(runs_dir))
