"""A package of one's own: found by an entry point or `--config-dir`, checked like ours, trusted only where it is declared."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genarena import config, plugins
from genarena.errors import Untrusted, UserError
from genarena.runs import results
from tests.doors import script
from tests.plugin_package import write

ROOT = Path(__file__).parents[1]


def call(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | variables)


def test_a_folder_named_on_the_line_brings_model_data_and_metric(tmp_path: Path) -> None:
    conf = write(tmp_path / "theirs", "dim_arena", installed=False)
    line = ["model=dim", "data=stripes", "model.share=0.25", "metrics=[mean_level]", "budget=smoke", "logger=none"]
    done = call("train.py", "--config-dir", str(conf), *line, f"runs_dir={tmp_path}/runs", "callbacks.progress=false")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs/stripes/dim").iterdir()
    row = results.read_row(folder / "result.json")
    assert row["metrics"]["mean_level"]["value"] < 32  # a quarter of 127.5
    stranger = script("sample.py", f"run={folder}", f"out={tmp_path}/a.png")
    assert stranger.returncode == 4 and "'dim_arena." in stranger.stderr and "--config-dir" in stranger.stderr
    assert stranger.stderr.count("\n") == 1 and not (tmp_path / "a.png").exists()
    again = call("scripts/sample.py", f"--config-dir={conf}", f"run={folder}", f"out={tmp_path}/a.png")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "a.png").is_file()


ASK = """
import sys
from genarena import config, metrics, trust
line = ["model=dim", "data=stripes", "budget=smoke"]
print(config.check([*line, "model.share=1", "data.width=3", "metrics=[mean_level]"]))
for wrong in ("model.share=2", "model.shar=1", "data.width=0", "metrics=[mean_leve]"):
    try:
        config.check([*line, wrong])
    except config.UserError as error:
        print(error)
trust.refuse_foreign({"_target_": "dim_plugin.models.baseline.dim.Dim"}, "x")
try:
    trust.refuse_foreign({"_target_": "dim_plugin.tools.Wipe"}, "x")
except trust.Untrusted as error:
    print(error)
assert "torch" not in sys.modules and "dim_plugin" not in sys.modules
"""


def test_an_installed_package_is_checked_like_ours_without_importing_it(tmp_path: Path) -> None:
    write(tmp_path, "dim_plugin", installed=True)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    accepted, share, hint, width, metric, foreign = done.stdout.splitlines()
    assert "'+model.share=1', '+data.width=3'" in accepted
    assert share == "model.share=2: expected 0 to 1"
    assert hint == "model.shar: there is no such option; did you mean model.share?"
    assert width == "data.width=0: expected at least 1"
    assert metric == "metrics=mean_leve: no such metric; did you mean mean_level?"
    assert foreign.startswith("x: _target_ 'dim_plugin.tools.Wipe' is none of")


def test_two_choices_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "conf"))
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "vae.yaml").write_text("_target_: os.system\n")
    with pytest.raises(UserError, match=r"model=vae: there are two of that name, in .*conf and .*conf"):
        config.check(["model=vae", "data=digits"])


def test_a_configuration_folder_names_no_code_outside_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "conf"))
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "wiper.yaml").write_text("_target_: os.system\ntraining: {batch_size: 1}\n")
    from genarena.run import run

    with pytest.raises(Untrusted, match=r"os\.system.*is none of"):
        run(config.compose(config.check(["model=wiper", "data=digits", "budget=smoke", f"runs_dir={tmp_path}/runs"])))
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_code_that_is_no_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = write(tmp_path, "dim_bare", installed=False)
    (tmp_path / "dim_bare" / "__init__.py").unlink()
    monkeypatch.setenv(plugins.VARIABLE, str(conf))
    with pytest.raises(UserError, match=r"dim_bare is no package, for it has no __init__\.py"):
        plugins.packages()


def test_an_installed_package_without_its_yaml_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(write(tmp_path, "dim_without_yaml", installed=True))
    monkeypatch.syspath_prepend(tmp_path)
    plugins._packages.cache_clear()
    try:
        with pytest.raises(UserError, match="plugin dim_without_yaml: .* has models and no conf: its wheel leaves"):
            plugins.packages()
    finally:
        plugins._packages.cache_clear()
