"""Score a finished run again, with other metrics or sample counts, without training."""

import json
from pathlib import Path

from genarena import cli, config
from genarena.errors import UserError

SIZES = ("num_samples", "num_test", "iw_samples", "iw_num_test")
USAGE = """python scripts/evaluate.py run=<run folder> [metrics=[a,b]] [num_samples=N] [num_test=N] [iw_samples=K]
    [iw_num_test=N] [sample_seed=N] [data_root=<folder>] [device=cpu] [out=<json>]

Without out, the numbers are printed and the run folder's result.json stays as it is."""


def main() -> None:
    defaults = {"run": ..., "metrics": None, "num_samples": None, "num_test": None, "iw_samples": None, "iw_num_test": None,
                "sample_seed": None,
                "data_root": None, "device": "cpu", "out": None}  # fmt: skip
    options = cli.options(defaults, USAGE)
    metrics = options["metrics"]
    if metrics is not None:
        config.check_metrics(metrics)
    sizes = {
        key: options[key]
        for key in ("num_samples", "num_test", "iw_samples", "sample_seed")
        if options[key] is not None
    }
    for key, value in sizes.items():
        if not isinstance(value, int) or value < (key != "sample_seed"):
            raise UserError(f"{key}={value}: expected a whole number, at least {int(key != 'sample_seed')}")

    from genarena import results  # heavy imports wait until the options are right
    from genarena.build import build
    from genarena.evaluate import evaluate, protocol
    from genarena.run import summary
    from genarena.run_folder import RunFolder

    folder = RunFolder.open(options["run"])
    cfg, model = folder.rebuild(options["device"])
    metrics = cfg["metrics"] if metrics is None else metrics
    if options["data_root"]:
        cfg["data"]["root"] = options["data_root"]
    settings = build(cfg["evaluation"] | sizes, "evaluation")
    data = build(cfg["data"], "data")
    data.setup()
    evaluation = evaluate(model, data, metrics, settings)
    row = results.read_row(folder.result)
    if row["data"]["id"] != data.facts["id"]:
        raise UserError(f"the data is {data.facts['id']} here, and the run was trained on {row['data']['id']}")
    row |= {"metrics": evaluation.metrics, "protocol": protocol(metrics, settings)}
    print(summary(row))
    if options["out"]:
        results.write_row(row, Path(options["out"]))
        print(f"row: {options['out']}")
    else:
        print(json.dumps(evaluation.metrics))


if __name__ == "__main__":
    cli.guard(main)
