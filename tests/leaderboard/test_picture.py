"""The picture in the README is of the page as it is made today."""

import hashlib
import json
from pathlib import Path

import pytest

from genarena.errors import UserError
from genarena.leaderboard import page, picture
from genarena.leaderboard.aspects import METRICS
from genarena.leaderboard.runs import COSTS, find_runs
from genarena.leaderboard.tables import make_tables
from tests.leaderboard.benchmark import benchmark, furnish

DOCS = Path(__file__).parents[2] / "docs"
ABOUT = json.loads((DOCS / "leaderboard.json").read_text(encoding="utf-8"))


def test_the_picture_is_of_this_page(tmp_path: Path) -> None:
    tables = make_tables(find_runs(furnish(tmp_path, benchmark(seeds=2, columns=ABOUT["page"]["columns"])))[0])
    now = picture.structure(page.render(tables[:1], []), [table.anchor for table in tables])
    then = ABOUT["page"]
    without = [[name for name in about["sections"] if name != "left-out"] for about in (then, now)]
    assert without[0] == without[1], "take a new picture: python scripts/picture.py"
    assert then["presets"] == now["presets"]
    assert then["columns"] == now["columns"]
    assert set(then["plots"]) <= set(now["plots"])


def test_the_picture_is_the_one_that_was_described() -> None:
    assert hashlib.sha256((DOCS / "leaderboard.png").read_bytes()).hexdigest() == ABOUT["sha256"]
    columns = ABOUT["page"]["columns"]
    metrics = [key for key, about in columns.items() if key not in COSTS and about["aspect"] != "about"]
    assert metrics
    assert [key for key in metrics if not (METRICS / f"{key}.py").is_file()] == []  # each is still a metric
    assert sum(about["shown"] for about in columns.values()) == 5


def test_without_a_browser_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="takes a browser: none of chromium"):
        picture.take(tmp_path / "page.html", tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
