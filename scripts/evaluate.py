"""Score a finished run again, with other metrics or sample counts, without training."""

import json
from pathlib import Path
from typing import Any

from genarena import cli, config
from genarena.errors import UserError

SIZES = (
    "num_samples",
    "num_test",
    "iw_samples",
    "iw_num_test",
    "iw_bounds_num_test",
    "ode_num_test",
    "ode_probes",
    "ais_num_test",
    "ais_chains",
    "ais_steps",
    "sample_seed",
)
OTHERS = ("split", "iw_bounds_k", "ode_tolerance", "ode_dequantisation", "ais_sigma")  # checked by EvaluationSettings
TIMEOUT = 1800.0  # seconds that one process waits for another
USAGE = """python scripts/evaluate.py run=<run folder> [metrics=[a,b]] [num_samples=N] [num_test=N] [iw_samples=K]
    [iw_num_test=N] [sample_seed=N] [data_root=<folder>] [device=cpu|cuda] [out=<json>] [split=test|val]
    [iw_bounds_k=[1,10,100]] [iw_bounds_num_test=N]
    [ode_num_test=N] [ode_tolerance=1e-5] [ode_probes=N] [ode_dequantisation=model|uniform]
    [ais_num_test=N] [ais_chains=N] [ais_steps=N] [ais_sigma=0.2]
    [features.space=domain|inception|dinov2|clip] [features.{inception,dinov2,clip}_weights=<file>|download]

Started by torchrun, the processes share the work, and the numbers are the same. Without out, the numbers are printed and
the run folder's result.json stays as it is. The device is that of the run: another one draws other random numbers."""


def main() -> None:
    defaults = {
        "run": ...,
        "metrics": None,
        **dict.fromkeys((*SIZES, *OTHERS)),
        "data_root": None,
        "device": None,
        "out": None,
        **cli.FEATURE_OPTIONS,
    }
    options = cli.options(defaults, USAGE)
    metrics = options["metrics"]
    if metrics is not None:
        config.check_metrics(metrics)
    sizes = {key: options[key] for key in SIZES if options[key] is not None}
    others = {key: options[key] for key in OTHERS if options[key] is not None}
    for key, value in sizes.items():
        if not isinstance(value, int) or value < (key != "sample_seed"):
            raise UserError(f"{key}={value}: expected a whole number, at least {int(key != 'sample_seed')}")

    from genarena.ranks import world
    from genarena.runs.folder import RunFolder

    folder = RunFolder.open(options["run"])
    with world.together("cpu" if options["device"] == "cpu" else "gpu", TIMEOUT):
        score(folder, options, sizes | others)


def score(folder, options: dict[str, Any], numbers: dict[str, Any]) -> None:
    """Score the run, alone or with the other processes that torchrun started."""
    from genarena.build import build
    from genarena.evaluation.evaluate import evaluate, protocol
    from genarena.ranks import exchange, world
    from genarena.run import summary
    from genarena.runs import provenance, results

    row = results.read_row(folder.result)
    if row["status"] != "ok" and options["out"]:
        raise UserError(
            f"run={options['run']}: failed ({row['error']}), and makes no row; without out its numbers are shown"
        )
    device = options["device"] or row["cost"].get("device_type", "cpu")
    cfg, model = folder.rebuild(f"cuda:{world.rank_here()}" if device == "cuda" and world.joined() else device)
    metrics = cfg["metrics"] if options["metrics"] is None else options["metrics"]
    if options["data_root"]:
        cfg["data"]["root"] = options["data_root"]
    stored = cfg["evaluation"].get("features", {"_target_": "genarena.evaluation.weights.FeatureSettings"})
    settings = build(cfg["evaluation"] | numbers | {"features": stored | cli.features(options)}, "evaluation")
    protocol(metrics, settings)  # a file of weights that is not there must not cost an evaluation
    data = build(cfg["data"], "data")
    exchange.zero_first(data.setup)
    if row["data"]["id"] != data.facts["id"]:
        raise UserError(f"the data is {data.facts['id']} here, and the run was trained on {row['data']['id']}")
    evaluation = evaluate(model, data, metrics, settings)
    if world.rank():
        return
    row["data"]["split"] = settings.split
    row |= {"metrics": evaluation.metrics, "protocol": evaluation.protocol, "evaluated": provenance.environment()}
    print(summary(row))
    if options["out"]:
        results.write_row(row, Path(options["out"]))
        print(f"row: {options['out']}")
    else:
        print(json.dumps(evaluation.metrics))


if __name__ == "__main__":
    cli.guard(main)
