"""Use finished runs for something: `task=denoise`. Makes rows and pictures."""

import sys
from pathlib import Path

from genarena import cli
from genarena.options.script import Option, read
from genarena.options.values import Device, Folder, Something
from genarena.tasks.choosing import chosen

USAGE = """python scripts/task.py task=<name> run=<run folder>[,<run folder> ...] [<option of the task>=<value>]
    [algorithm=<name> [algorithm.<option>=<value>]] [out=<folder>] [data_root=<folder>] [device=cpu]

Tasks and their options are the files of conf/task, e.g. task=denoise sigma=0.1,0.25; algorithms those of conf/algorithm. The
rows and the pictures lie in <run folder>/evaluations/<table>-<case>-<digest>/, or in out=; the leaderboard shows a table per
task and case."""
OPTIONS = {
    "task": Option(str, ...),
    "run": Option(Folder, ...),
    "out": Option(Folder | None),
    "data_root": Option(Folder | None),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    own = [text for text in sys.argv[1:] if text.partition("=")[0] in OPTIONS or "=" not in text]
    others = [text for text in sys.argv[1:] if text not in own]
    of_task = read(others, {text.partition("=")[0]: Option(Something) for text in others})
    options = cli.options(OPTIONS, USAGE, own, out_is_folder=True)
    node = chosen(options["task"], of_task)

    from genarena.evaluation.row import metric_lines
    from genarena.tasks import task_run

    for run in options["run"].split(","):
        for solved in task_run.solve(run, node, options["data_root"], options["device"]):
            row = solved.row
            place = task_run.place_of(run, row)
            path = task_run.write(solved, Path(options["out"], place.name) if options["out"] else place)
            task, algorithm = row["task"], row["task"]["algorithm"]
            print(task["title"])
            kind = f"{algorithm['name']} ({algorithm['exactness']})"
            lines = {", ".join(filter(None, (row["model"], kind, part))): each for part, each in task["lines"].items()}
            for title, line in (lines | task["floors"]).items():
                print("\n".join([title, *metric_lines(line["metrics"])]))
            print(f"row: {path}")


if __name__ == "__main__":
    cli.guard(main)
