"""What `pip install .` puts on another machine: the package alone, without the checkout, in another folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genarena.runs import results

ROOT = Path(__file__).parents[1]


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.slow
def test_an_installed_package_runs_without_its_checkout(tmp_path: Path) -> None:
    """One run, a sweep of it that finds it finished, the leaderboard; the configurations are those of the checkout."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):  # a build writes beside the sources
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / "tree" / name, follow_symlinks=False)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(tmp_path / "tree"))
    (wheel,) = tmp_path.glob("*.whl")
    pip("install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel))
    there, here = (
        sorted(p.relative_to(f) for p in f.rglob("*.yaml")) for f in (tmp_path / "site/genarena/conf", ROOT / "conf")
    )
    assert there == here

    def genarena(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(tmp_path / "site" / "bin" / "genarena"), *arguments]
        variables = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
        return subprocess.run(command, cwd=tmp_path / "elsewhere", env=variables, capture_output=True, text=True)

    (tmp_path / "elsewhere").mkdir()
    line = ["train", "model=uniform", "data=digits", "budget=smoke", "callbacks.progress=false"]
    done = genarena(*line)
    assert done.returncode == 0, done.stderr
    (result,) = (tmp_path / "elsewhere").glob("runs/digits/uniform/*/result.json")
    assert results.read_row(result)["commit"] is None
    again = genarena(*line, "-m", "seed=0,1")
    assert again.returncode == 0 and "1/2] finished before" in again.stdout, again.stderr
    assert genarena("leaderboard").returncode == 0
    assert (tmp_path / "elsewhere" / "leaderboard" / "index.html").is_file()
    wrong = genarena("leadrboard")
    assert wrong.returncode == 2 and "did you mean leaderboard?" in wrong.stderr
