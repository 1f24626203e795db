"""The page in a real browser: columns and their address, a phone, enlarged samples, seeds, two runs compared."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from genarena.leaderboard import aspects, page
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import Table, make_tables
from tests.leaderboard.benchmark import benchmark, furnish
from tests.leaderboard.visit import Visit

COLUMNS = "table.board thead th:visible"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Table]:
    folder = tmp_path_factory.mktemp("arena")
    rows = [
        row for row in benchmark(seeds=2) if row["model"] in ("uniform", "memoriser", "vae", "glow", "dcgan", "ebm")
    ]
    rows[-1]["line"]["settings"]["model.hidden_channels"] = 32
    (table,) = make_tables(find_runs(furnish(folder, rows))[0])
    path = folder / "page.html"
    path.write_text(page.render([table], []), encoding="utf-8")
    return path, table


def keys(visit: Visit) -> list[str]:
    return visit.tab.eval_on_selector_all(COLUMNS, "heads => heads.map((head) => head.dataset.column).filter(Boolean)")


def test_presets_and_picker_are_kept_in_the_address(browser: Any, made: tuple[Path, Table]) -> None:
    path, table = made
    visit = Visit(browser, path)
    assert keys(visit) == aspects.overview(table)
    assert visit.tab.locator(COLUMNS).count() == 7
    for preset in ("quality", "likelihood", "diversity", "memorisation", "cost"):
        visit.tab.get_by_role("button", name=preset, exact=True).click()
        assert f"columns={preset}" in visit.tab.url
        wanted = [column.key for column in aspects.ordered(table) if aspects.aspect(column, table) == preset]
        assert [key for key in keys(visit) if key != "device"] == list(dict.fromkeys([table.ranked_by, *wanted]))
    visit.tab.get_by_role("button", name="all", exact=True).click()
    assert len(keys(visit)) == len(table.columns) + 3
    visit.tab.get_by_role("button", name="overview", exact=True).click()
    assert "columns=" not in visit.tab.url
    visit.tab.get_by_text("Columns", exact=True).click()
    visit.tab.locator("#picker").get_by_label("density").check()
    assert set(keys(visit)) == {*aspects.overview(table), "density"}
    again = Visit(browser, path, "#" + visit.tab.url.partition("#")[2])
    assert set(keys(again)) == {*aspects.overview(table), "density"}
    widths = again.tab.eval_on_selector_all(
        "table.board tr", "rows => rows.map((r) => [...r.cells].filter((c) => !c.hidden).length)"
    )
    assert set(widths) == {8}  # the cells go with their heading
    assert visit.complaints == again.complaints == []


def test_a_link_keeps_the_columns_and_the_way_back(browser: Any, made: tuple[Path, Table]) -> None:
    path, table = made
    run = table.lines[1].runs[0]
    visit = Visit(browser, path, "#columns=cost&filter=glow")
    assert visit.names() == ["glow"]
    visit.tab.get_by_role("searchbox").fill("")
    visit.tab.locator("table.board").get_by_role("link", name=run.model, exact=True).click()
    visit.tab.wait_for_url(lambda url: url.endswith(f"#{run.anchor}&columns=cost"))  # the script answers a moment later
    visit.tab.locator(f"#{run.anchor}[open]").wait_for(state="attached")
    assert "train_flops" in keys(visit)
    visit.tab.reload()
    visit.tab.locator(f"#{run.anchor}[open]").wait_for(state="attached")
    assert "train_flops" in keys(visit)
    assert visit.complaints == []


def test_neutral_columns_put_what_is_nearest_to_real_data_on_top(browser: Any, made: tuple[Path, Table]) -> None:
    path, table = made
    visit = Visit(browser, path, "#columns=density")
    visit.tab.get_by_role("button", name="density", exact=False).first.click()
    valued = [line for line in table.lines if line.cells["density"].value is not None]
    nearest = sorted(valued, key=lambda line: abs(line.cells["density"].value - 1.0))
    assert visit.names() == [line.model for line in nearest]


def test_on_a_phone_name_rank_and_ranking_metric_stay(browser: Any, made: tuple[Path, Table]) -> None:
    visit = Visit(browser, made[0], "#columns=all", viewport={"width": 390, "height": 844})
    visit.tab.locator("div.scroll").first.evaluate("box => { box.scrollLeft = 600; }")
    row = visit.tab.locator("table.board tbody tr").nth(1)
    boxes = [row.locator(place).bounding_box() for place in ("th", ".rank", ".lead")]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    for one, other in itertools.pairwise(boxes):
        assert one["x"] + one["width"] <= other["x"] + 1  # none covers another
    assert boxes[-1]["x"] + boxes[-1]["width"] <= 290  # a whole column of what scrolls can be read beside them
    assert visit.tab.evaluate("document.documentElement.scrollWidth") == 390
    small = visit.tab.evaluate(
        """() => [...document.querySelectorAll("button, select, summary, input, table.board a, nav a, figcaption a")]
        .filter((each) => each.checkVisibility({contentVisibilityAuto: true}) && !each.closest("dialog"))
        .map((each) => (each.type === "checkbox" ? each.closest("label") : each))
        .filter((each) => { const box = each.getBoundingClientRect(); return box.height < 24 || box.width < 24; })
        .map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert small == []
    visit.tab.get_by_text("Columns", exact=True).click()
    panel = visit.tab.locator("#picker").bounding_box()
    assert panel["x"] >= 0 and panel["width"] > 300 and panel["x"] + panel["width"] <= 390


def test_samples_are_enlarged_and_seeds_are_changed_without_a_request(browser: Any, made: tuple[Path, Table]) -> None:
    visit = Visit(browser, made[0])
    first = visit.tab.locator(".block").first
    source = "el => el.querySelector('.zoom:not([hidden]) img').src"
    before = first.locator("figure").nth(1).evaluate(source)
    first.get_by_role("button", name="1", exact=True).click()
    after = first.locator("figure").nth(1).evaluate(source)
    assert before != after
    first.locator("figure").nth(1).locator(".zoom:visible").click()
    assert visit.tab.locator("#zoom").evaluate("box => box.open")
    assert visit.tab.locator("#zoom img").get_attribute("src") == after
    assert "seed 1" in visit.tab.locator("#zoom-name").inner_text()
    visit.tab.keyboard.press("ArrowRight")
    assert visit.tab.locator("#zoom img").get_attribute("src") == first.locator("figure").nth(2).evaluate(source)
    visit.tab.keyboard.press("Escape")
    assert not visit.tab.locator("#zoom").evaluate("box => box.open")
    assert visit.complaints == []


def test_two_runs_are_compared_in_words(browser: Any, made: tuple[Path, Table]) -> None:
    path, table = made
    runs = {(run.model, run.seed): run for line in table.lines for run in line.runs}
    one, other, alike = runs["ebm", 0], runs["ebm", 1], runs["ebm", 0]
    visit = Visit(browser, path, f"#compare={one.anchor},{other.anchor}")
    words = visit.tab.locator("#difference p").inner_text()
    assert "1 setting of" in words
    assert "model.hidden_channels is 64 in the first, 32 in the second" in words
    assert "other seed" in words
    assert visit.tab.locator("#difference tr").count() == 3  # heading, the setting, the seed
    again = Visit(browser, path, f"#compare={one.anchor},{alike.anchor}")
    assert again.tab.locator("#difference p").inner_text().startswith("Nothing differs")
    again.tab.locator("#compare-other").select_option(label=f"{table.data_id}: glow, seed 0")
    assert "the source of 2 modules differs" in again.tab.locator("#difference p").inner_text()
    assert runs["glow", 0].anchor in again.tab.evaluate("decodeURIComponent(location.hash)")
    assert visit.complaints == again.complaints == []
