"""Files of a stranger's folder: regular, inside the folder, of bounded size and depth."""

import os
from pathlib import Path

import pytest

from genarena.errors import Untrusted
from genarena.files import foreign


def test_what_is_inside_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "up").symlink_to("../a")
    (tmp_path / "gone").symlink_to("nothing")
    foreign.check_folder(tmp_path)
    assert foreign.read(tmp_path / "link", 5) == b"12345"
    with pytest.raises(Untrusted, match="a is larger than 4 bytes"):
        foreign.read(tmp_path / "a", 4)
    with pytest.raises(FileNotFoundError):
        foreign.read(tmp_path / "none")


@pytest.mark.parametrize("target", ["/proc/self/environ", "/dev/zero", "/etc", "../secret", "/nowhere"])
def test_a_link_that_leads_out_is_refused(target: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "run"
    (folder / "below").mkdir(parents=True)
    (folder / "part").symlink_to(target)
    with pytest.raises(Untrusted, match="part is a link that leads out of its run folder"):
        foreign.check_folder(folder)
    with pytest.raises(Untrusted, match="part is a link that leads out"):
        foreign.read(folder / "part")
    (folder / "part").unlink()
    (folder / "below" / "part").symlink_to(f"../{target}" if target.startswith(".") else target)
    with pytest.raises(Untrusted, match="below/part is a link"):
        foreign.check_folder(folder)


def test_a_pipe_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Untrusted, match="pipe is neither a file nor a folder"):
        foreign.check_folder(tmp_path)
    with pytest.raises(Untrusted, match="pipe is no regular file"):
        foreign.read(tmp_path / "pipe")


def test_files_of_the_kernel_claim_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match="larger than 10 bytes"):
        foreign.read(Path("/proc/cpuinfo"), 10)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        "[" * 50 + "]" * 50,
        "1e999",
        "-1e101",
        "1" + "0" * 400,
        "1" * 5000,
        "NaN",
        "Infinity",
        "{",
        "",
        "\ufeff1",
    ],
    ids=lambda text: text[:10],
)
def test_json_that_nothing_can_be_done_with_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        foreign.parse_json(text.encode())
    with pytest.raises(ValueError):
        foreign.parse_json(b'{"a": [1, ' + text.encode() + b"]}")


def test_json_in_other_letters_is_a_value_error_and_texts_are_printable() -> None:
    with pytest.raises(ValueError):
        foreign.parse_json(b'"\xff"')
    assert foreign.parse_json(b'{"\\u001b": ["\\ud800\\n", 1e99, true, null]}') == {
        r"\x1b": [r"\ud800\x0a", 1e99, True, None]
    }
