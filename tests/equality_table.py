"""Prints a Markdown table of metrics from one process and from two: `python -m tests.equality_table <empty folder>`."""

import os
import sys
from pathlib import Path

from genarena.build import build
from genarena.evaluation.asked import options_of
from genarena.evaluation.evaluate import evaluate
from genarena.runs import results
from genarena.runs.folder import RunFolder
from tests.ranks.test_two_processes import start_two
from tests.two_processes import FAMILIES, METRICS


def main(folder: Path) -> None:
    os.environ["GENARENA_CACHE"] = str(folder / "cache")
    processes = start_two("-m", "tests.two_processes", str(folder), "families")
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("\n".join(outputs))
    print("| metric | family | one process | two processes | difference | n |\n|---|---|---|---|---|---|")
    for name in FAMILIES:
        (path,) = (folder / "runs" / "digits" / name).glob("*")
        there = results.read_row(path / "result.json")["metrics"]
        cfg, model = RunFolder.open(path).rebuild()
        data = build(cfg["data"], "data")
        data.setup()
        settings = build(cfg["evaluation"], "evaluation")
        alone = evaluate(model, data, METRICS, settings, options_of(cfg), cfg["seed"], progress=False).metrics
        for metric, record in alone.items():
            if record["value"] is not None:
                one, two = record["value"], there[metric]["value"]
                print(f"| {metric} | {name} | {one:.9g} | {two:.9g} | {abs(one - two):.1e} | {there[metric]['n']} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
