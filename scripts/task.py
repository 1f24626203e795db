"""Use a finished run for something: `task=denoise`. Makes a row and pictures."""

import sys
from pathlib import Path

from genarena import cli
from genarena.options.script import Option, of_group
from genarena.options.values import Device, Folder
from genarena.tasks.choosing import chosen

USAGE = """python scripts/task.py task=<name> run=<run folder> [task.<option>=<value>] [out=<folder>] [data_root=<folder>]
    [device=cpu]

Tasks and their options are the files of conf/task, e.g. task=denoise task.sigma=0.1,0.25. The row and the pictures lie in
<run folder>/evaluations/<task>-<digest>/, or in out=; the leaderboard shows a table per task."""
OPTIONS = {
    "task": Option(str, ...),
    "run": Option(Folder, ...),
    "out": Option(Folder | None),
    "data_root": Option(Folder | None),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    of_task, others = of_group(sys.argv[1:], "task")
    options = cli.options(OPTIONS, USAGE, others, out_is_folder=True)
    node = chosen(options["task"], of_task)

    from genarena.evaluation.row import metric_lines
    from genarena.tasks import task_run

    row, pictures = task_run.solve(options["run"], node, options["data_root"], options["device"])
    path = task_run.write(row, pictures, Path(options["out"] or task_run.place_of(options["run"], row)))
    algorithm = row["task"]["algorithm"]
    lines = {f"{row['model']}, {algorithm['name']} ({algorithm['exactness']})": row["metrics"]}
    lines |= {name: method["metrics"] for name, method in row["task"]["classical"].items()}
    for title, metrics in lines.items():
        print("\n".join([title, *metric_lines(metrics)]))
    print(f"row: {path}")


if __name__ == "__main__":
    cli.guard(main)
