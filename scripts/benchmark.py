"""Run a suite of conf/suite: models x data sets x seeds under one budget, tasks on them, ending with the leaderboard."""

import sys

from rich.console import Console

from genarena import cli
from genarena.files.progress import Bars
from genarena.jobs import benchmark, launcher, suite_tasks
from genarena.jobs.job import jobs_of
from genarena.jobs.preview import preview, summary, table
from genarena.options.hints import nearest
from genarena.options.script import Option
from genarena.options.values import Folder

OPTIONS = {
    "suite": Option(str, ...),
    "preview": Option(bool, False),
    "out": Option(Folder, "leaderboard"),
    "tasks": Option(str | None),
}
USAGE = """python scripts/benchmark.py suite=<name> [preview=true] [out=leaderboard] [<option of train.py>=<value> ...]
    [tasks='<task> [<option>=<value> ...]; ...']

Says what it will cost, runs what is missing, goes on after failures and ends with the leaderboard. The same line again does
only what is missing. preview=true: says what it would cost, and ends. Options of train.py are for every run and come before
those of the suite: model=a,b data=a seed=0,1 budget=smoke trainer=gpu launcher.slots=2 runs_dir=runs/suites/<name>

A suite with tasks (restoration, imputation, anomaly) does them with every run when it is trained; tasks= are others instead,
e.g. tasks='inpaint operator=half; denoise sigma=0.25'. A model that cannot do a task is named once, and is no failure."""


def main() -> None:
    own = [argument for argument in sys.argv[1:] if _is_own(argument.partition("=")[0])]
    options = cli.options(OPTIONS, USAGE, [argument for argument in own if "=" in argument], out_is_folder=True)
    given = [argument for argument in sys.argv[1:] if argument not in own]
    overrides = benchmark.command(options["suite"], given)
    plan = suite_tasks.plan(options["suite"], given, benchmark.tasks(options["suite"], options["tasks"]))
    overrides, jobs = plan.overrides or overrides, plan.jobs or jobs_of(overrides)
    chosen, num_slots = benchmark.slots(overrides, jobs)
    with Bars() as bars:
        groups = preview(jobs, bars.track)
    console = Console(file=sys.stdout, width=None if Console().is_terminal else 140)
    console.print(table(groups))
    lines = [*summary(groups, num_slots, jobs[0].cfg["runs_dir"]), *plan.lines]
    for line in lines:
        console.print(line, style="red" if line.startswith("warning") else "", highlight=False, soft_wrap=True)
    if options["preview"]:
        return
    seconds = {job: group.estimate.seconds for group in groups if group.estimate for job in group.missing}
    view = (
        suite_tasks.View(plan, seconds, num_slots, console)
        if plan.tasks
        else benchmark.View(jobs, seconds, num_slots, console)
    )
    benchmark.work(view, chosen)
    code = launcher.report(view.outcomes)
    if line := benchmark.to_upload(jobs[0].cfg["runs_dir"]):
        print(line, flush=True)
    sys.exit(benchmark.leaderboard(jobs[0].cfg, options["out"]) or code)


def _is_own(key: str) -> bool:
    """Whether an option is of this program, or a misspelt one of it: the others are those of train.py."""
    return key in (*OPTIONS, "-h", "--help") or bool(nearest(key, OPTIONS))


if __name__ == "__main__":
    cli.guard(main)
