"""Use finished runs for something: `task=denoise`. Makes rows and pictures."""

import sys

from genarena import cli, config
from genarena.errors import UserError
from genarena.jobs import local_jobs, solving
from genarena.jobs.solving import Case, Failure, Place, Wanted
from genarena.options.script import Option
from genarena.options.values import Device, Folder
from genarena.runs import named
from genarena.tasks import choosing

USAGE = """python scripts/task.py [-m] task=<name> run=<run folder>[,<run folder> ...] [<option of the task>=<value>]
    [algorithm=<name> [algorithm.<option>=<value>]] [out=<folder>] [data_root=<folder>] [device=cpu] [again=true]
python scripts/task.py [-m] task=<name> data=<d> model=<m>[,<m> ...] [budget=<b>] [seed=0,1] [<option of train.py>=<value>] ...
python scripts/task.py task=<name> --help           its options, and which models can do it, by which algorithm
python scripts/task.py algorithm=<name> --help      its options, and which models it fits

run=: folders of runs, of folders above finished runs, or patterns. With data= and model= instead, the runs of these lines
are used, and trained first where there are none; task.<option>= is then an option of the task that train.py has too (seed).
-m: values with commas between them are combinations, as for train.py; without it they are a list.
A case whose row is there is not computed again, unless again=true. After a run that fails the others go on.
The rows and the pictures lie in <run folder>/evaluations/<table>-<case>-<digest>/, or in out=; the leaderboard shows a table
per task and case.

Tasks:
{tasks}"""
OPTIONS = {
    "task": Option(str | None),  # read by `choosing`
    "run": Option(str | None),
    "out": Option(Folder | None),
    "data_root": Option(Folder | None),
    "device": Option(Device, "cpu"),
    "again": Option(bool, False),
}


def main() -> None:
    local_jobs.die_with_parent()  # where a suite started it
    words = [text for text in sys.argv[1:] if text not in ("-m", "--multirun")]
    given = choosing.split(words, OPTIONS)
    if {"-h", "--help"} & set(words):
        print(_help(given.of_task))
        return
    options = cli.options(OPTIONS, USAGE, given.own, out_is_folder=True)
    nodes = [choosing.chosen(*each) for each in choosing.read_all(given.of_task, len(words) < len(sys.argv[1:]))]
    if bool(options["run"]) == bool(given.of_training):
        raise UserError(
            "run=... is missing, or data=... and model=...: --help says how"
            if not options["run"]
            else f"{given.of_training[0]}: goes with data= and model=, and without run="
        )
    failures: list[Failure] = []
    if options["run"]:
        runs = named.folders(options["run"])
    else:
        runs, failures = solving.trained(given.of_training, nodes)
    wanted = Wanted(
        nodes, Place(options["out"], len(runs) > 1), options["data_root"], options["device"], options["again"]
    )
    num_done = 0
    for found in solving.solve_all(wanted, runs):
        if isinstance(found, Failure):
            failures.append(found)
        else:
            num_done += 1
            _show(found)
    sys.exit(solving.report(failures, num_done))


def _help(of_task: list[str]) -> str:
    names = dict(text.partition("=")[::2] for text in of_task)
    if "algorithm" in names or "task" in names:
        from genarena.tasks import manual  # imports the models

        return manual.of_algorithm(names["algorithm"]) if "algorithm" in names else manual.of_task(names["task"])
    tasks = [f"  {name:12s} {choosing.comment('task', name)}" for name in config.available("task")]
    return USAGE.format(tasks="\n".join(tasks))


def _show(case: Case) -> None:
    from genarena.evaluation.row import metric_lines

    task, algorithm = case.row["task"], case.row["task"]["algorithm"]
    if not case.is_new:
        print(f"there already: {case.row['model']}, {task['title']}, {algorithm['name']}: {case.path}", flush=True)
        return
    print(task["title"])
    kind = f"{algorithm['name']} ({algorithm['exactness']})"
    lines = {", ".join(filter(None, (case.row["model"], kind, part))): each for part, each in task["lines"].items()}
    for title, line in (lines | task["floors"]).items():
        print("\n".join([title, *metric_lines(line["metrics"])]))
    print(f"row: {case.path}", flush=True)


if __name__ == "__main__":
    cli.guard(main)
