"""Score a finished run again, with other metrics or sample counts, without training."""

import json
import sys
from pathlib import Path
from typing import Any

from genarena import cli
from genarena.errors import UserError
from genarena.metrics import check as check_metrics
from genarena.options.script import FEATURES, METRICS, SAMPLER, Option, features, of_sampler
from genarena.options.signatures import parameters
from genarena.options.values import Device, Folder

SETTINGS = {
    name: kind
    for name, kind in parameters("genarena.evaluation.settings.EvaluationSettings").items()
    if name != "features"
}
TIMEOUT = 1800.0  # seconds that one process waits for another
USAGE = """python scripts/evaluate.py run=<run folder> [metrics=[a,b]] [sample_seed=N] [split=test|val]
    [data_root=<folder>] [device=cpu|cuda] [out=<json>]
    [evidence.<kind>.<option>=<value>]       e.g. evidence.samples.num_samples=5000; python train.py --help lists them
    [metric.<metric>.<option>=<value>]       of a single metric, e.g. metric.fid.num_samples=50000
    [sampler=<name>] [sampler.<option>=<value>]
    [features.space=auto|domain|efficientnet|inception|dinov2|clip]
    [features.{inception,dinov2,clip,efficientnet}_weights=<file>|download]

Started by torchrun, the processes share the work, and the numbers are the same. Without out, the numbers are printed and
the run folder's result.json stays as it is. With sampler=, e.g. sampler=ddim sampler.nfe=10, the same weights are scored with
another sampler, and the row, a line of its own on the leaderboard, is written to <run folder>/evaluations/<name>/result.json;
with other metrics or settings as well, only to out. In the run folder out is evaluations/<name>.json, where the page finds all
rows: metrics join the line that they are of. The device is that of the run: another one draws other random numbers."""
OPTIONS = {
    "run": Option(Folder, ...),
    "metrics": Option(list[str] | None),
    **{name: Option(kind | None) for name, kind in SETTINGS.items()},
    "data_root": Option(Folder | None),
    "device": Option(Device | None),
    "out": Option(Folder | None),
    **FEATURES,
}


def main() -> None:
    sampler, others = of_sampler(sys.argv[1:])
    own, others = cli.of_metrics(others)
    options = cli.options(OPTIONS, USAGE, others, beside=(*METRICS, *SAMPLER))
    metrics = options["metrics"]
    if metrics is not None:
        check_metrics(metrics)
    settings = {key: options[key] for key in SETTINGS if options.get(key) is not None}

    from genarena import api
    from genarena.ranks import world
    from genarena.runs import evaluations, results
    from genarena.runs.folder import RunFolder

    if options["out"]:
        evaluations.check_place(Path(options["run"]), Path(options["out"]))
    _refuse_failed(results.read_row(RunFolder.open(options["run"]).result), options)
    changes = settings | {"features": features(options)}
    with world.together("cpu" if options["device"] == "cpu" else "gpu", TIMEOUT):
        row = api.rescore(options["run"], metrics, changes, options["data_root"], options["device"], sampler, own)
        if world.rank() == 0:
            others = [options["out"], metrics, *settings, *own, *changes["features"], options["device"]]
            keep = sampler and not any(others) and row["status"] == "ok"
            out = Path(options["run"], evaluations.FOLDER, row["evaluation"], "result.json") if keep else options["out"]
            show(row, out)


def _refuse_failed(row: dict[str, Any], options: dict[str, Any]) -> None:
    if row["status"] != "ok" and options["out"]:
        raise UserError(
            f"run={options['run']}: failed ({row['error']}), and makes no row; without out its numbers are shown"
        )


def show(row: dict[str, Any], out: str | Path | None) -> None:
    """Print the row, and write it to a file where one is named."""
    from genarena.evaluation.row import summary
    from genarena.runs import results

    print(summary(row))
    if out:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        results.write_row(row, Path(out))
        print(f"row: {out}")
    else:
        print(json.dumps(row["metrics"]))


if __name__ == "__main__":
    cli.guard(main)
