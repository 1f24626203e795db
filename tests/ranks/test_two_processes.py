"""Two ranks are one run: the same batches, the same numbers, every test example once, resumed bitwise. For every family."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from genarena.build import build
from genarena.config import compose
from genarena.evaluation.asked import options_of
from genarena.evaluation.evaluate import evaluate
from genarena.run import run
from genarena.runs import checkpoint, results
from genarena.runs.folder import RunFolder
from tests.conftest import shared_cache
from tests.run_folders import tensors
from tests.two_processes import FAMILIES, FEW, METRICS, RESUMED, SHARDED, overrides

ROOT = Path(__file__).parents[2]


def start_two(*command: str, own: Sequence[str] = ("RANK", "LOCAL_RANK")) -> list[subprocess.Popen]:
    """`own`: the variables that tell a process its number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    facts = {
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    return [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | facts | dict.fromkeys(own, str(rank)),
        )
        for rank in range(2)
    ]


def what_two_left(part: str, factory: pytest.TempPathFactory) -> Path:
    """The classifiers of the digits may be those of other tests for `few`, and are made by the two ranks for the others."""
    path = factory.mktemp(part)
    os.environ["GENARENA_CACHE"] = str(shared_cache(factory) if part == "few" else path / "cache")
    processes = start_two("-m", "tests.two_processes", str(path), part)
    outputs = [process.communicate(timeout=280)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one family for each way in which ranks share their work."""
    return what_two_left("few", tmp_path_factory)


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each of the other families."""
    return what_two_left("rest", tmp_path_factory)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that were stopped and resumed, and runs in shards."""
    return what_two_left("more", tmp_path_factory)


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_the_metrics_are_those_of_one_process(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = request.getfixturevalue("few" if name in FEW else "rest")
    if name not in FEW:
        monkeypatch.setenv("GENARENA_CACHE", str(folder / "cache"))
    (path,) = (folder / "runs" / "digits" / name).glob("*")
    row = results.read_row(path / "result.json")
    cfg, model = RunFolder.open(path).rebuild()
    data = build(cfg["data"], "data")
    data.setup()
    settings = build(cfg["evaluation"], "evaluation")
    alone = evaluate(model, data, METRICS, settings, options_of(cfg), cfg["seed"], progress=False).metrics
    assert any(record["value"] is not None for record in alone.values())
    for metric, record in alone.items():
        there = row["metrics"][metric]
        if record["value"] is None:
            assert there["reason"] == record["reason"]
        else:
            assert there["value"] == pytest.approx(record["value"], rel=1e-6, abs=1e-9), metric
            assert there["n"] == record["n"], metric
    assert row["metrics"]["precision"]["n"] == row["metrics"]["precision"]["n_real"] == 101


def test_the_row_says_what_two_ranks_did(few: Path) -> None:
    (path,) = (few / "runs" / "digits" / "vae").glob("*")
    cost = results.read_row(path / "result.json")["cost"]
    assert (cost["world_size"], cost["batch_size"], cost["effective_batch_size"]) == (2, 16, 16)
    assert cost["examples_seen"] == 96
    assert len(cost["learning_rates"]) == 1
    assert {item.name for item in path.iterdir()} >= {
        "config.yaml",
        "result.json",
        "metrics.csv",
        "checkpoints",
        "samples",
    }
    assert len((path / "metrics.csv").read_text().splitlines()) == 1 + 1 + 4 + 1  # header, a step, validations, the row


@pytest.mark.parametrize("name", ["made", "gaussian"])  # no noise in the loss: only the sum over the batch is left
def test_the_weights_are_those_of_one_process(name: str, few: Path, tmp_path: Path) -> None:
    run(compose(overrides(name, tmp_path, "metrics=[]")))
    (alone,), (path,) = (tmp_path / "digits" / name).glob("*"), (few / "runs" / "digits" / name).glob("*")
    expected = checkpoint.load(RunFolder.open(alone).last)["state_dict"]
    found = checkpoint.load(RunFolder.open(path).last)["state_dict"]
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDED)
def test_in_shards_the_weights_are_those_of_replicas(name: str, more: Path) -> None:
    (replicas,), (sharded,) = ((more / part / "digits" / name).glob("*") for part in ("runs", "sharded"))
    assert results.read_row(sharded / "result.json")["trainer"]["strategy"] == "fsdp"
    expected, found = (checkpoint.load(RunFolder.open(path).last) for path in (replicas, sharded))
    for part in ("state_dict", "current_model_state"):
        for key, value in expected[part].items():
            if value.dim() > 1:  # a bias before a normalisation has only rounding for a gradient, and Adam scales it up
                torch.testing.assert_close(found[part][key], value, rtol=1e-3, atol=1e-4, msg=f"{part} {key}")
    _, model = RunFolder.open(sharded).rebuild()  # by a single process
    assert model.sample(2).shape == (2, 1, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RESUMED, "vae"])
def test_resumed_on_two_ranks_is_bitwise_the_uninterrupted_run(name: str, more: Path) -> None:
    ends = []
    for part in ("whole", "parts"):
        (path,) = (more / part / "digits" / name).glob("*")
        ends.append(checkpoint.load(RunFolder.open(path).last))
    assert ends[0]["ranks"][1] or name == "vae", "the ranks should differ in something"
    for part in ("state_dict", "current_model_state", "optimizer_states", "ranks"):
        expected, found = tensors(ends[0].get(part, {})), tensors(ends[1].get(part, {}))
        assert expected.keys() == found.keys()
        assert not [key for key, value in expected.items() if not torch.equal(value, found[key])], part
