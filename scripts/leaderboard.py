"""Every run folder -> one HTML page, Markdown, CSV, JSON, LaTeX, a table in the terminal, and W&B where asked for."""

from pathlib import Path
from typing import Literal

from omegaconf import OmegaConf

from genarena import cli, config
from genarena.errors import printable
from genarena.files.atomic import replace_atomically
from genarena.options.script import Option
from genarena.options.values import Folder

USAGE = """python scripts/leaderboard.py [runs_dir=runs] [out=leaderboard] [logger=none|wandb] [rank_by=<metric>]
    [columns=[fd_domain,bits_per_dim,train_flops]]      of leaderboard.tex; the names are those of leaderboard.csv

logger=wandb also logs the tables and all files as an artifact, offline where W&B has no key or no network; project and
entity are those of conf/logger/wandb.yaml. rank_by=fd_dinov2 ranks by this metric where a table has it. By default each
table is ranked by the first of fid, fd_dinov2, fd_domain, fd_efficientnet, kd_domain, kid, bits_per_dim, nll_nats,
energy_distance that half of its models have."""
OPTIONS = {
    "runs_dir": Option(Folder, "runs"),
    "out": Option(Folder, "leaderboard"),
    "logger": Option(Literal["none", "wandb"], "none"),
    "rank_by": Option(str | None),
    "columns": Option(list[str] | None),
}


def main() -> None:
    options = cli.options(OPTIONS, USAGE, out_is_folder=True)

    from rich.console import Console  # statistics take a second to import; the options are right now

    from genarena.files.progress import Bars
    from genarena.leaderboard import formats, latex, page, task_formats
    from genarena.leaderboard import tasks as of_tasks
    from genarena.leaderboard.illustrations import collect
    from genarena.leaderboard.made import FILES, Made
    from genarena.leaderboard.runs import find_runs
    from genarena.leaderboard.sweeps import find_sweeps
    from genarena.leaderboard.tables import make_tables
    from genarena.leaderboard.trusted import find_trust

    runs, broken = find_runs(Path(options["runs_dir"]))
    searches, unreadable = find_sweeps(Path(options["runs_dir"]))
    tables = make_tables(runs, options["rank_by"])
    task_rows, other_form = of_tasks.read_task_rows(Path(options["runs_dir"]))
    tasks, broken = of_tasks.make_task_tables(task_rows), [*broken, *other_form]
    trust = find_trust(Path(options["runs_dir"]))
    out = Path(options["out"])
    with Bars() as bars:
        illustrations = collect(page.runs_of(tables), bars.track)
    names = [*FILES, *(["tasks.csv"] if tasks else [])]
    given = [f"{key}={_written(value)}" for key, value in options.items() if value != OPTIONS[key].default]
    origin = Made.now(" ".join(["python scripts/leaderboard.py", *given]), names)
    files = {
        "leaderboard.md": formats.markdown(tables) + task_formats.markdown(tasks),
        "leaderboard.csv": formats.comma_separated(tables),
        "leaderboard.json": formats.as_json(tables),
        "leaderboard.tex": latex.latex(tables, options["columns"]),
        "index.html": page.render(tables, [*broken, *unreadable], searches, illustrations, tasks, origin, trust),
    }
    if tasks:
        files["tasks.csv"] = task_formats.comma_separated(tasks)
    for name, text in files.items():
        replace_atomically(out / name, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
    console = Console(width=None if Console().is_terminal else 160)
    for table in tables:
        console.print(formats.terminal(table))
    for text in [*broken, *unreadable, *illustrations.complaints, *trust.broken]:
        console.print(f"left out: {text}", style="red", markup=False, highlight=False, soft_wrap=True)
    if options["logger"] == "wandb":
        from genarena.tracking import wandb_run  # heavy: only where it is asked for

        settings = OmegaConf.to_container(OmegaConf.load(config.file_of("logger", "wandb")), resolve=True)
        rows = {table.anchor: [formats.flat(record) for record in formats.records([table])] for table in tables}
        wandb_run.log_leaderboard(settings, rows, [out / name for name in files])
    print(printable(f"page: {(out / 'index.html').resolve()}"))


def _written(value: str | list[str]) -> str:
    return f"[{','.join(value)}]" if isinstance(value, list) else value


if __name__ == "__main__":
    cli.guard(main)
