"""The picture of the leaderboard in the README, taken with a Chromium of this machine."""

import json
import tempfile
from pathlib import Path

from genarena import cli
from genarena.errors import UserError, printable
from genarena.options.script import Option
from genarena.options.values import Folder

USAGE = """python scripts/picture.py [runs_dir=runs/suites/digits] [out=docs]

Writes <out>/leaderboard.png, and leaderboard.json beside it with the structure of the page, which a test compares with the
page of today: after a change of the page, take a new picture."""
OPTIONS = {"runs_dir": Option(Folder, "runs/suites/digits"), "out": Option(Folder, "docs")}


def main() -> None:
    options = cli.options(OPTIONS, USAGE, out_is_folder=True)

    from genarena.leaderboard import page, picture
    from genarena.leaderboard.made import FILES, Made
    from genarena.leaderboard.runs import find_runs
    from genarena.leaderboard.tables import make_tables

    runs, broken = find_runs(Path(options["runs_dir"]))
    tables = make_tables(runs)
    if not tables:
        raise UserError(f"runs_dir={options['runs_dir']}: no table to take a picture of")
    html = page.render(tables, broken, origin=Made.now("python scripts/leaderboard.py", tuple(FILES)))
    out = Path(options["out"])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.html"
        path.write_text(html, encoding="utf-8")
        digest = picture.take(path, out / "leaderboard.png")
    about = {"sha256": digest, "page": picture.structure(html, [table.anchor for table in tables])}
    (out / "leaderboard.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(printable(f"picture: {(out / 'leaderboard.png').resolve()}"))


if __name__ == "__main__":
    cli.guard(main)
