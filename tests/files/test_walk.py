"""The one walk of folders: what is never entered, links and circles, folders without the right to read."""

import os
from pathlib import Path

import pytest

from genarena.errors import DataError
from genarena.files.walk import walk


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    taken = ["a/1.png", "a/b/2.png", "0.png"]
    hidden = [".git/x", "a/.ipynb_checkpoints/1-checkpoint.png", "__MACOSX/a/1.png", "a/__MACOSX/1.png", "a/._1.png"]
    assert walk(make(tmp_path, *taken, *hidden)).files == sorted(taken)


def test_linked_folders_are_followed_once_each(tmp_path: Path) -> None:
    elsewhere = make(tmp_path / "elsewhere", "1.png", "deep/2.png")
    root = make(tmp_path / "root", "real/3.png")
    (root / "cats").symlink_to(elsewhere)
    (root / "copy").symlink_to(elsewhere)
    (root / "a").symlink_to(root / "real")  # sorts before the folder itself, which keeps its name all the same
    (root / "deep").symlink_to(elsewhere / "deep")
    found = walk(root)
    assert found.files == ["cats/1.png", "cats/deep/2.png", "real/3.png"]
    assert sorted(found.repeated) == ["a", "copy", "deep"]


def test_circles_end(tmp_path: Path) -> None:
    root = make(tmp_path / "above" / "root", "a/1.png")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "far_up").symlink_to(tmp_path)
    (root / "itself").symlink_to(root / "itself")
    assert walk(root).files == ["a/1.png", "itself"]  # whoever reads the second one hears why it cannot be


def test_a_linked_root_is_the_folder_itself(tmp_path: Path) -> None:
    make(tmp_path / "real", "a/1.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert walk(tmp_path / "link").files == walk(tmp_path / "real").files == ["a/1.png"]


def test_an_unreadable_folder_is_refused_or_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path, "a/1.png", "b/2.png")
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    heard: list[OSError] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", guarded)
        with pytest.raises(DataError, match=r"/a/? cannot be read: Permission denied$"):
            walk(root)
        assert walk(root, heard.append).files == ["b/2.png"]
    assert [error.strerror for error in heard] == ["Permission denied"]
