"""The page in a real browser: hostile names stay text, sorting and filtering work, nothing is fetched, phones and many
runs are served. Skipped where playwright or a Chromium is not installed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from genarena.leaderboard import page
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from tests.leaderboard.rows import make_row, write_rows
from tests.leaderboard.visit import Visit

HOSTILE = (
    "<script>document.title='owned'</script></td></table><img src=x onerror=\"document.title='owned'\">'\"{{ 7*7 }}"
)


def write_page(tmp_path: Path, rows: list[dict[str, Any]], broken: list[str] | None = None) -> Path:
    path = tmp_path / "page.html"
    path.write_text(page.render(make_tables(find_runs(write_rows(tmp_path, rows))[0]), broken or []), encoding="utf-8")
    return path


def hostile_page(tmp_path: Path) -> Path:
    bounds = {"value": 9.0, "n": 10, "k": [1, 10, 100], "nats": [10.0, 9.5, 9.0], "likelihood": "lower_bound"}
    vae = make_row("vae", value=2.0)
    rows = [
        vae | {"metrics": vae["metrics"] | {"iw_bounds": bounds}},
        make_row("glow", value=1.0, family="flow"),
        make_row("evil", value=3.0, family=HOSTILE, overrides=[HOSTILE], run=HOSTILE, commit=HOSTILE, weights=HOSTILE),
        make_row("memoriser", value=0.5, family="baseline"),
        make_row(HOSTILE, value=4.0, imported=True),
        make_row("ebm", status="failed", error=HOSTILE, metrics={}),
    ]
    write_rows(tmp_path, rows)
    for model, index in (("vae", 0), ("glow", 1)):
        folder = tmp_path / "digits" / model / str(index)
        (folder / "samples").mkdir()
        for name in ("final", "neighbours"):
            Image.new("L", (80, 80), 200).save(folder / "samples" / f"{name}.png")
        lines = [
            "progress,train/loss,val/bits_per_dim",
            *(f"{i / 10},{10 - i}," for i in range(10)),
            "1,,3.0",
            "1,,2.0",
        ]
        (folder / "metrics.csv").write_text("\n".join([*lines[:6], "0.5,,3.0", *lines[6:]]))
        (folder / "config.yaml").write_text(f"name: {HOSTILE}\n")
    tables = make_tables(find_runs(tmp_path)[0])
    path = tmp_path / "page.html"
    path.write_text(page.render(tables, [HOSTILE]), encoding="utf-8")
    return path


def test_everything_from_a_run_is_escaped(tmp_path: Path) -> None:
    html = hostile_page(tmp_path).read_text(encoding="utf-8")
    assert "<script>document.title" not in html
    assert 'onerror="' not in html
    assert html.count("<script>") == 1
    assert "&lt;script&gt;document.title" in html
    assert "{{ 7*7 }}" in html
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", html)  # the files beside it are linked where they are written
    assert "data:image/webp;base64," in html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "unsafe" not in policy.replace("&#39;", "'")


# -- in Chromium -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_page(tmp_path_factory.mktemp("hostile"))


def test_hostile_names_stay_text(browser: Any, hostile: Path) -> None:
    visit = Visit(browser, hostile)
    assert visit.tab.title() == "genarena leaderboard"
    assert HOSTILE in visit.tab.locator("table.board tbody").inner_text()
    assert visit.tab.locator("img:not([src^='data:'])").count() == 0
    assert visit.tab.locator("table.board").count() == 1
    assert visit.tab.locator("figure.plot").count() == 6  # forest, three of points, validation curves, bounds
    assert visit.complaints == []


def test_sorting_with_mouse_and_keyboard(browser: Any, hostile: Path) -> None:
    visit = Visit(browser, hostile)
    first = visit.names()
    assert first[:3] == ["memoriser", "glow", "vae"]
    head = visit.tab.get_by_role("button", name="Model", exact=True)
    head.click()
    assert visit.names() == sorted(first, key=str.lower)
    assert visit.tab.locator("th[aria-sort='ascending']").count() == 1
    quality = visit.tab.get_by_role("button", name="fd domain")
    quality.focus()
    visit.tab.keyboard.press("Enter")
    assert visit.names() == first
    visit.tab.keyboard.press("Enter")
    assert visit.names() == first[::-1]
    assert visit.tab.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    visit.tab.get_by_role("button", name="Rank").click()
    assert set(visit.names()[:3]) == {"glow", "vae", "evil"}  # who has no rank comes last
    assert visit.complaints == []


def test_filtering_rows_pictures_points_and_runs(browser: Any, hostile: Path) -> None:
    visit = Visit(browser, hostile)
    assert visit.tab.locator(".grids figure:visible").count() == 4
    visit.tab.get_by_role("searchbox").fill("flow")
    assert visit.names() == ["glow"]
    assert visit.tab.locator("#count").inner_text() == "1 of 5 rows"
    assert visit.tab.locator(".grids figure:visible").count() == 2
    assert visit.tab.locator("#runs > details:visible").count() == 1
    assert visit.tab.locator("figure.plot").first.locator("a:visible").count() == 1
    visit.tab.get_by_role("searchbox").fill("")
    assert len(visit.names()) == 5
    assert visit.complaints == []


def test_a_link_opens_its_run(browser: Any, hostile: Path) -> None:
    (table,) = make_tables(find_runs(hostile.parent)[0])
    run = next(line.runs[0] for line in table.lines if line.model == "vae")
    visit = Visit(browser, hostile, f"#{run.anchor}")
    section = visit.tab.locator(f"#{run.anchor}")
    assert section.get_attribute("open") is not None
    assert "iw_bounds" in section.inner_text()
    assert section.locator("svg").count() == 1
    section.get_by_text("config.yaml").click()
    assert HOSTILE in section.locator("pre").inner_text()
    visit.tab.locator("table.board").get_by_role("link", name="glow").click()
    visit.tab.wait_for_function("document.querySelectorAll('details[open]').length >= 2")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_no_sideways_scrolling(browser: Any, hostile: Path, scheme: str) -> None:
    visit = Visit(browser, hostile, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    visit.tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert visit.tab.evaluate("document.documentElement.scrollWidth") == 390
    background = visit.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
    assert (brightness < 200) == (scheme == "dark")


@pytest.mark.slow
def test_two_hundred_runs_stay_small(browser: Any, tmp_path: Path) -> None:
    """Each with pictures of noise, the worst there is to compress, a long record and a long configuration."""
    metrics = {f"metric_{i}": {"value": float(i), "n": 100, "backbone": {"name": "x" * 40}} for i in range(15)}
    rows = [make_row(f"m{i}", value=1.0 + i, metrics=make_row(value=1.0 + i)["metrics"] | metrics) for i in range(200)]
    write_rows(tmp_path, rows)
    Image.effect_noise((100, 100), 80).convert("RGB").save(tmp_path / "noise.png")
    losses = "\n".join(["progress,train/loss,val/bits_per_dim", *(f"{i / 300},{i % 7},{i % 5}" for i in range(300))])
    config = json.dumps(dict.fromkeys(map(str, range(150)), "value"), indent=1)
    for index in range(200):
        folder = tmp_path / "digits" / f"m{index}" / str(index)
        (folder / "samples").mkdir()
        for name in page.PICTURES if index < 20 else ["final"]:
            (folder / "samples" / f"{name}.png").hardlink_to(tmp_path / "noise.png")
        (folder / "metrics.csv").write_text(losses)
        (folder / "config.yaml").write_text(config)
    path = tmp_path / "page.html"
    path.write_text(page.render(make_tables(find_runs(tmp_path)[0]), []), encoding="utf-8")
    assert path.stat().st_size < 15_000_000
    visit = Visit(browser, path)
    assert visit.tab.locator("table.board tbody tr").count() == 200
    assert visit.tab.evaluate("document.querySelectorAll('*').length") < 40_000
    assert visit.complaints == []
