"""A row can be computed again: `scripts/evaluate.py run=...` gives its numbers, for an exact likelihood, a bound, and none."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from genarena.config import compose
from genarena.evaluation import features
from genarena.likelihood import Likelihood
from genarena.run import run

METRICS = [
    "bits_per_dim",
    "iw_nll_nats",
    "fd_domain",
    "recall",
    "coverage",
    "class_histogram_kl",
    "nearest_neighbour_ratio",
]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("made", Likelihood.EXACT),
        ("vae", Likelihood.LOWER_BOUND),
        ("dcgan", Likelihood.NONE),
    ],
)
def test_evaluating_again_gives_the_same_numbers(model: str, kind: Likelihood, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(features.RECIPE, "examples", 6000)
    row = run(
        compose(
            [
                f"model={model}",
                "data=digits",
                "budget=smoke",
                "budget.examples=128",
                "budget.num_samples=100",
                "budget.num_test=100",
                "callbacks.progress=false",
                "logger=none",
                f"metrics=[{','.join(METRICS)}]",
                f"runs_dir={tmp_path}/runs",
            ]
        )
    )
    assert row["likelihood"] == kind
    (path,) = tmp_path.glob(f"runs/digits/{model}/*")
    torch.manual_seed(7)  # whatever happened before must not matter
    torch.rand(11)
    script = str(Path(__file__).parents[2] / "scripts" / "evaluate.py")
    monkeypatch.setattr(sys, "argv", ["evaluate.py", f"run={path}", f"out={tmp_path}/again.json"])
    runpy.run_path(script, run_name="__main__")
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["protocol"] == row["protocol"] and again["line"] == row["line"]
    measured = {name for name, record in row["metrics"].items() if record["value"] is not None}
    without = {
        Likelihood.EXACT: {"iw_nll_nats"},
        Likelihood.LOWER_BOUND: set(),
        Likelihood.NONE: {"bits_per_dim", "iw_nll_nats"},
    }[kind]
    assert measured == set(METRICS) - without
    values = {name: row["metrics"][name]["value"] for name in measured}
    assert {name: again["metrics"][name]["value"] for name in measured} == pytest.approx(values, rel=1e-6, abs=1e-9)
    for name in set(METRICS) - measured:
        assert again["metrics"][name] | {"seconds": 0.0} == row["metrics"][name] | {"seconds": 0.0}
