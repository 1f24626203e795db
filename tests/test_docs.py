"""docs/extending.md: its files are written as they stand there, and its lines are run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from genarena.runs import results

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text()
QUICK = ["callbacks.progress=false", "callbacks.grid_size=4", "logger=none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `mine`."""
    folder = tmp_path_factory.mktemp("extending")
    blocks = re.findall(r"```(?:python|yaml)\n# (mine/\S+)\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 10
    for name, content in [*blocks, ("mine/__init__.py", "")]:
        assert content == "" or name in TEXT.split("## A model")[0], "the list of files names it"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def line(start: str) -> list[str]:
    """The arguments of the line of the page that begins so."""
    (found,) = [text.strip() for text in TEXT.splitlines() if text.startswith(f"    python {start}")]
    return found.split()[1:]


def run(folder: Path, arguments: list[str], *more: str) -> str:
    program, *rest = arguments
    done = subprocess.run(
        [sys.executable, ROOT / program, *rest, *more], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_a_model_with_labels_and_a_task(folder: Path) -> None:
    run(folder, line("train.py model=naive_bayes"), *QUICK, "metrics=[bits_per_dim]", "budget.examples=40000")
    trained = only(folder, "runs/digits/naive_bayes/*")
    row = results.read_row(trained / "result.json")
    assert row["metrics"]["bits_per_dim"]["given"] == "label"
    task = [
        f"run={trained}" if part.startswith("run=") else part for part in join(line("scripts/task.py task=classify"))
    ]
    told = run(folder, task)
    assert "naive_bayes, bayes (exact)" in told and "nearest_mean" in told
    found = results.read_row(only(trained, "evaluations/classify-*/result.json"))
    assert (
        found["task"]["lines"][""]["metrics"]["accuracy"]["value"] > 0.85
    )  # naive Bayes has about 0.9 on digits; a wrong label, 0.1
    assert found["task"]["floors"]["nearest_mean"]["metrics"]["accuracy"]["value"] > 0.85


@pytest.mark.slow
def test_a_sampler_a_degradation_and_a_posterior_sampler(folder: Path) -> None:
    run(folder, line("train.py model=ddpm"), *QUICK, "metrics=[sampling_seconds]", "budget.num_samples=64")
    trained = only(folder, "with_ddpm/digits/ddpm/*")
    again = [f"run={trained}" if part.startswith("run=") else part for part in join(line("scripts/evaluate.py"))]
    run(folder, again)
    row = results.read_row(only(trained, "evaluations/noisy_ddim-eta0.3/result.json"))
    assert row["metrics"]["sampling_seconds"]["value"] > 0.0
    task = [f"run={trained}" if part.startswith("run=") else part for part in join(line("scripts/task.py task=deint"))]
    told = run(folder, task, "algorithm.num_steps=5", "num_val=8")
    assert "ddpm, jacobian_free (heuristic)" in told and "lmmse" in told
    row = results.read_row(only(trained, "evaluations/restoration-interlaced-*/result.json"))
    assert row["task"]["algorithm"]["options"]["num_steps"] == 5
    psnr = {name: each["metrics"]["psnr"]["value"] for name, each in row["task"]["floors"].items()}
    assert (
        psnr["lmmse"] > psnr["fill"] + 1.0
    )  # rows between tell more than the mean image; of another A, they would not


def join(parts: list[str]) -> list[str]:
    """`<run of x>` is one word."""
    return re.sub(r"<[^>]*>", "FOLDER", " ".join(parts)).split()
