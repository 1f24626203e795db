"""Measure which metric notices which fault: real images under noise, blur, shifts, dropped classes, copies and compression."""

import sys
from pathlib import Path

from genarena import cli, config
from genarena.metrics import check as check_metrics
from genarena.options.script import DATA, FEATURES, METRICS, Option, features
from genarena.options.values import Count, Folder

USAGE = """python scripts/disturb.py data=<d> [data.<option>=...] [metrics=[fd_domain,recall]] [runs_dir=runs]
    [out=<runs_dir>/disturbances/<d>-<space>] [limit=1000] [repeats=3] [evidence.<kind>.<option>=<value>]
    [metric.<metric>.<option>=<value>] [features.space=auto|domain|efficientnet|inception|dinov2|clip]
    [features.<network>_weights=<file>]

Held-out images are split at random, `repeats` times: one half, at most `limit` images, is the reference, the other is
disturbed. Writes disturbances.md, and disturbances.json, which `scripts/leaderboard.py` shows on its page. By default all
metrics of images that need no pretrained network."""
PLACES = ("data.root", "out", "runs_dir")  # of this machine: no part of the command that the page shows
OPTIONS = {
    "data": Option(str, ...),
    "out": Option(Folder | None),
    "runs_dir": Option(Folder, "runs"),
    "metrics": Option(list[str] | None),
    "limit": Option(Count, 1000),
    "repeats": Option(Count, 3),
    **FEATURES,
}


def main() -> None:
    of_data = [argument for argument in sys.argv[1:] if argument.startswith("data.")]
    own, others = cli.of_metrics([argument for argument in sys.argv[1:] if argument not in of_data])
    options = cli.options(OPTIONS, USAGE, others, out_is_folder=True, beside=(*DATA, *METRICS))
    cfg = config.compose(config.check(["model=uniform", "budget=smoke", f"data={options['data']}", *of_data]))
    if options["metrics"] is not None:
        check_metrics(options["metrics"])

    from genarena.build import build
    from genarena.evaluation.weights import FeatureSettings
    from genarena.published import disturbance_report, disturbances
    from genarena.published.imported import check_askable

    if options["metrics"] is not None:
        check_askable(options["metrics"], has_training_set=True)
    data = build(cfg.data, "data")
    data.setup()
    settings = FeatureSettings(**features(options))
    metrics = options["metrics"] or disturbances.usual_metrics()
    curves, reasons = disturbances.measured(data, metrics, options["limit"], options["repeats"], settings, own)
    count = min((data.val.size + data.test.size) // 2, options["limit"])
    space = settings.space_for(data.spec)
    facts = {"data": data.facts["id"], "n": count, "repeats": options["repeats"], "space": space, "command": command()}
    folder = Path(options["out"] or Path(options["runs_dir"]) / "disturbances" / f"{options['data']}-{space}")
    paths = disturbance_report.write(curves, reasons, facts, folder)
    print(paths[-1].read_text())
    print("written:", ", ".join(map(str, paths)))


def command() -> str:
    """What was typed, without the places of this machine."""
    typed = [text for text in sys.argv[1:] if (key := text.partition("=")[0]) not in PLACES and "_weights" not in key]
    return " ".join(["python scripts/disturb.py", *typed])


if __name__ == "__main__":
    cli.guard(main)
