"""The page in a real browser: hostile names stay text, sorting and filtering work, nothing is fetched."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from genarena.leaderboard import page
from genarena.leaderboard.tables import find_runs, make_tables
from tests.leaderboard.rows import make_row, write_rows

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def rendered(tmp_path: Path) -> str:
    rows = [make_row("vae", value=2.0), make_row("glow", value=1.0, family="flow"),
            make_row("evil", value=3.0, overrides=[HOSTILE]), make_row("memoriser", value=0.5, family="baseline"),
            make_row("ebm", status="failed", error=HOSTILE, metrics={})]  # fmt: skip
    write_rows(tmp_path, rows)
    samples = tmp_path / "digits" / "vae" / "0" / "samples"
    samples.mkdir()
    Image.new("L", (8, 8), 200).save(samples / "final.png")
    return page.render(make_tables(find_runs(tmp_path)[0]), [HOSTILE])


def test_everything_from_a_run_is_escaped(tmp_path: Path) -> None:
    html = rendered(tmp_path)
    assert "<script>document.title" not in html
    assert 'onerror="' not in html
    assert html.count("<script>") == 1
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", html)
    assert "data:image/png;base64," in html


def test_best_leaves_floors_and_ceilings_out(tmp_path: Path) -> None:
    rows = re.findall(r"<tr data-name=\"(\w+)[^>]*>(.*?)</tr>", rendered(tmp_path), re.S)
    best = {name for name, cells in rows if re.search(r'class="num best" data-value="1.0"', cells)}
    assert best == {"glow"}


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium is installed")
    return found


PROBE = """
<script>
addEventListener("load", () => {
  const rows = () => [...document.querySelectorAll("table.board tbody tr:not([hidden])")];
  const names = () => rows().map((row) => row.dataset.name.split(" ")[0]);
  const report = {title: document.title, before: names()};
  const head = [...document.querySelectorAll("thead button")].find((b) => b.textContent.startsWith("fd domain"));
  head.click(); report.ascending = names(); head.click(); report.descending = names();
  const filter = document.getElementById("filter"); filter.value = "flow"; filter.dispatchEvent(new Event("input"));
  report.filtered = names();
  document.body.dataset.report = JSON.stringify(report);
});
</script>"""


def test_sorting_and_filtering_in_chromium(chromium: str, tmp_path: Path) -> None:
    html = rendered(tmp_path / "runs")
    html = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", html)  # only so that the probe may run
    path = tmp_path / "page.html"
    path.write_text(html.replace("</body>", PROBE + "</body>"))
    done = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                           "--disable-background-networking", f"--user-data-dir={tmp_path}/profile",
                           "--virtual-time-budget=3000", "--dump-dom", path.as_uri()],
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    import html as entities
    import json

    found = re.search(r'data-report="([^"]*)"', done.stdout)
    report = json.loads(entities.unescape(found[1]))
    assert report["title"] == "genarena leaderboard"
    assert report["ascending"] == ["memoriser", "glow", "vae", "evil"]
    assert report["descending"] == ["evil", "vae", "glow", "memoriser"]
    assert report["filtered"] == ["glow"]


def test_the_policy_lets_the_own_script_run(chromium: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(rendered(tmp_path / "runs"))
    run = make_row("vae")["run"]
    done = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                           "--disable-background-networking", f"--user-data-dir={tmp_path}/profile",
                           "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom",
                           f"{path.as_uri()}#digits-0-vae-{run}"],
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert re.search(rf'<details id="digits-0-vae-{run}" open', done.stdout)  # the script opened the linked run
    assert "CONSOLE" not in done.stderr
