"""Every run folder -> one HTML page, Markdown, CSV, JSON, LaTeX, and a table in the terminal."""

from pathlib import Path

from rich.console import Console

from genarena import cli
from genarena.files import replace_atomically
from genarena.leaderboard import formats, page
from genarena.leaderboard.tables import find_runs, make_tables

USAGE = "python scripts/leaderboard.py [runs_dir=runs] [out=leaderboard]"


def main() -> None:
    options = cli.options({"runs_dir": "runs", "out": "leaderboard"}, USAGE)
    runs, broken = find_runs(Path(options["runs_dir"]))
    tables = make_tables(runs)
    out = Path(options["out"])
    files = {"leaderboard.md": formats.markdown(tables), "leaderboard.csv": formats.comma_separated(tables),
             "leaderboard.json": formats.as_json(tables), "leaderboard.tex": formats.latex(tables),
             "index.html": page.render(tables, broken)}  # fmt: skip
    for name, text in files.items():
        replace_atomically(out / name, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
    console = Console(width=None if Console().is_terminal else 160)
    for table in tables:
        console.print(formats.terminal(table))
    for text in broken:
        console.print(f"left out: {text}", style="red", markup=False)
    print(f"page: {(out / 'index.html').resolve()}")


if __name__ == "__main__":
    cli.guard(main)
