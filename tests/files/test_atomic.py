"""A result that could not be written is noticed before the work."""

from pathlib import Path

import pytest

from genarena import cli
from genarena.errors import UserError
from genarena.files.atomic import check_writable
from genarena.options.script import Option
from genarena.options.values import Folder


def test_what_can_be_written_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.json").write_text("old")
    for path in (Path("a.json"), Path("new/folder/a.json"), tmp_path / "there.json"):
        check_writable(path)
    check_writable(tmp_path, is_folder=True)
    check_writable(Path("new/page"), is_folder=True)
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]
    assert (tmp_path / "there.json").read_text() == "old"


def test_what_cannot_is_one_line_for_every_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "a.json", Path("/proc/none/a.json")):
        with pytest.raises(UserError, match="cannot be written") as refused:
            check_writable(path)
        assert "\n" not in str(refused.value)
        monkeypatch.setattr("sys.argv", ["evaluate.py", f"out={path}"])
        with pytest.raises(UserError, match="cannot be written"):
            cli.options({"out": Option(Folder | None)}, "usage")
    with pytest.raises(UserError, match="cannot be written"):
        check_writable(tmp_path / "file", is_folder=True)
