"""Draw quality against the number of network evaluations, for every sampler that fits a finished run."""

from pathlib import Path
from typing import TYPE_CHECKING

from genarena import cli
from genarena.errors import UserError
from genarena.files.atomic import check_writable
from genarena.metrics import check as check_metrics
from genarena.options.script import Option
from genarena.options.values import Count, Device, Folder
from genarena.runs.interruption import Interrupted

if TYPE_CHECKING:
    from genarena.evaluation.nfe_curve import Plan, Point

USAGE = """python scripts/nfe_curve.py run=<run folder> [samplers=[ddim,unipc]] [nfe=[5,10,20,50]] [metric=fd_domain]
    [num_samples=500] [repeats=3] [out=<run>/evaluations/nfe_curve] [data_root=<folder>] [device=cpu]

samplers     names of files in conf/sampler; default: all that fit the run's model and have an option nfe.
nfe          network evaluations per sample; a sampler of several per step makes at most as many.
metric       one of samples; default: fd_domain of images, energy_distance of other data.
repeats      seeds of sampling; the interval of a point is that of the mean over them.

Prints each point when it is there, and writes nfe_curve.json, nfe_curve.csv and nfe_curve.png, also of the points before an
interruption. On a CPU it takes minutes; the time grows with num_samples, repeats
and nfe."""
OPTIONS = {
    "run": Option(Folder, ...),
    "samplers": Option(list[str] | None),
    "nfe": Option(list[Count] | None),
    "metric": Option(str | None),
    "num_samples": Option(Count, 500),
    "repeats": Option(Count, 3),
    "out": Option(Folder | None),
    "data_root": Option(Folder | None),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    options = cli.options(OPTIONS, USAGE, out_is_folder=True)
    if options["metric"] is not None:
        check_metrics([options["metric"]])
    for key in ("nfe", "samplers"):
        if options[key] == []:
            raise UserError(f"{key}=[]: expected at least one")

    from genarena import api  # heavy imports wait until the options are right
    from genarena.build import build
    from genarena.evaluation import nfe_curve
    from genarena.evaluation.asked import options_of
    from genarena.runs import evaluations, results, stored_config
    from genarena.runs.folder import RunFolder

    folder = RunFolder.open(options["run"])
    row = results.read_row(folder.result)
    if row["status"] != "ok":
        raise UserError(f"run={options['run']}: failed ({row['error']}), and has no samples to score")
    out = Path(options["out"] or folder.path / evaluations.FOLDER / nfe_curve.NAME)
    check_writable(out, is_folder=True)
    model = api.load(options["run"], options["device"])
    sizes = options["num_samples"], options["repeats"]
    plan = nfe_curve.plan(model, options["metric"], options["samplers"], options["nfe"], sizes)
    data = api.load_data(options["run"], options["data_root"])
    cfg = stored_config.load(folder.config)
    facts = {"title": f"{row['model']} on {row['data']['name']}", "run": folder.path.name, "data": data.facts["id"]}
    points: list[nfe_curve.Point] = []
    try:
        for point in nfe_curve.measured(model, data, plan, build(cfg["evaluation"], "evaluation"), options_of(cfg)):
            points.append(point)
            print(shown(point, plan), flush=True)
    except Interrupted:
        if any(point.mean is not None for point in points):
            print(f"interrupted after {len(points)} of {len(plan.choices)} points, which are kept", flush=True)
            nfe_curve.write(points, plan, facts, out)
        raise
    for reason in plan.left_out:
        print(f"left out: {reason}")
    print("written:", ", ".join(map(str, nfe_curve.write(points, plan, facts, out))))


def shown(point: "Point", plan: "Plan") -> str:
    """One line: sampler, evaluations, the value with its interval or why there is none, and seconds per sample."""
    value = point.reason if point.mean is None else f"{plan.metric} {point.mean:.3f}"
    value += "" if point.half_width is None else f" +- {point.half_width:.3f}"
    return f"{point.sampler:22s} nfe {point.nfe:5d}  {value}  {point.seconds_per_sample:.2g} s/sample"


if __name__ == "__main__":
    cli.guard(main)
