"""Files that others left: a device, a pipe or a giant is refused before it is read."""

import os
from pathlib import Path

import pytest

from genarena.files.regular import read_regular


def test_a_regular_file_is_read_through_its_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link", 7) == b"content"
    with pytest.raises(ValueError, match="7 bytes, at most 6 are read"):
        read_regular(tmp_path / "link", 6)


def test_devices_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("zero", "pipe", "folder"):
        with pytest.raises(ValueError, match="no regular file"):
            read_regular(tmp_path / name, 100)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "broken", 100)
