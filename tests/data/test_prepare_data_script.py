"""`scripts/prepare_data.py`: what it prints, its manifest, its exit codes."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from genarena import plugins
from tests.plugin_package import write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(20):
        Image.new("RGB", (32, 32), (index, 2, 3)).save(folder / f"{index:02d}.png")
    return folder


def prepare(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of the script, run in this process, which has torch imported already."""
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", *map(str, arguments)])
    try:
        runpy.run_path(str(ROOT / "scripts" / "prepare_data.py"), run_name="__main__")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_folder_is_described_and_its_changes_are_seen(pictures: Path, monkeypatch, capsys) -> None:
    asked = ["data=image_folder", f"data.root={pictures}"]
    assert prepare(monkeypatch, *asked) == 0
    printed = capsys.readouterr().out
    assert "train 16, val 2, test 2" in printed and f"20 files, 0.0 MB in {pictures}" in printed
    manifest = pictures / "image_folder.manifest.json"
    content = json.loads(manifest.read_text())
    assert len(content["files"]) == 20
    assert content["data"]["id"] in printed
    assert prepare(monkeypatch, *asked) == 0  # and again
    assert json.loads(manifest.read_text()) == content
    Image.new("RGB", (32, 32), (9, 9, 9)).save(pictures / "03.png")
    (pictures / "05.png").unlink()
    capsys.readouterr()
    assert prepare(monkeypatch, *asked) == 4
    error = capsys.readouterr().err
    assert "03.png differs, and so do 1 of 20 files more" in error and error.count("\n") == 1
    assert json.loads(manifest.read_text()) == content
    manifest.write_text("{}")
    assert prepare(monkeypatch, *asked) == 2
    manifest.unlink()
    assert prepare(monkeypatch, *asked) == 0


def test_what_is_made_has_no_files(monkeypatch, capsys, tmp_path: Path) -> None:
    assert prepare(monkeypatch, "data=digits", "data.max_train=10", f"out={tmp_path}/m.json") == 0
    assert "digits-train10-" in capsys.readouterr().out
    content = json.loads((tmp_path / "m.json").read_text())
    assert content["files"] == {} and content["data"]["splits"]["train"] == 10


def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path: Path) -> None:
    for arguments, words in (
        (["data=celebra"], "did you mean celeba?"),
        ([], "data=... is missing"),
        (["data=digits", "model=vae"], "model=vae"),
        (["data=digits", "data.max_trian=1"], "did you mean data.max_train?"),
        (["data=celeba", f"data.root={tmp_path}"], "img_align_celeba.zip (1,443,490,838 bytes)"),
    ):
        assert prepare(monkeypatch, *arguments) == 2
        assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_real_celeba(shared_data: Path, monkeypatch, capsys, tmp_path: Path) -> None:
    root = shared_data / "celeba_fullsize_sample"
    assert prepare(monkeypatch, "data=celeba", f"data.root={root}", f"out={tmp_path}/m.json") == 0
    printed = capsys.readouterr().out
    assert "part: 22of202599" in printed and "27 files" in printed
    files = json.loads((tmp_path / "m.json").read_text())["files"]
    assert files["list_eval_partition.txt"]["bytes"] == 22 * 13


def test_a_set_whose_yaml_names_no_folder_has_its_manifest_in_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = write(tmp_path, "dim_made", installed=False)
    yaml = conf / "data" / "stripes.yaml"
    yaml.write_text("".join(line for line in yaml.read_text().splitlines(True) if not line.startswith("root:")))
    monkeypatch.setenv(plugins.VARIABLE, str(conf))
    monkeypatch.chdir(tmp_path)
    assert prepare(monkeypatch, "data=stripes") == 0
    assert json.loads((tmp_path / "data" / "stripes.manifest.json").read_text())["data"]["name"] == "stripes"
