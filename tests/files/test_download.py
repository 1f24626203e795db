"""Downloads: resumed, checked, whole or not there; pages, half files and wrong files are never used."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from genarena.errors import UserError
from genarena.files.download import Published, download
from tests.server import Behaviour, serving

CONTENT = bytes(range(256)) * 10_000  # more than two blocks
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[tuple[str, Behaviour]]:
    with serving({"/file.bin": CONTENT}) as served:
        yield served


def published(address: str, checksum: str | None = SHA256, size: int | None = len(CONTENT)) -> Published:
    return Published("file.bin", checksum, f"{address}/file.bin", size)


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_a_file_is_fetched_once(server: tuple[str, Behaviour], tmp_path: Path, checksum: str) -> None:
    path = tmp_path / "below" / "file.bin"
    for _ in range(2):
        download(published(server[0], checksum), path)
    assert path.read_bytes() == CONTENT
    assert len(server[1].asked) == 1
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_a_broken_connection_is_resumed_where_it_broke(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    server[1].cut_after = [1_000_000, 700_000]
    download(published(server[0]), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert [wanted for _, wanted in server[1].asked] == [None, "bytes=1000000-", "bytes=1700000-"]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_what_an_earlier_process_got_is_kept(server: tuple[str, Behaviour], tmp_path: Path, size: int | None) -> None:
    server[1].cut_after = [1_000_000, 0]
    with pytest.raises(UserError, match=r"file\.bin\.part is kept, and the next attempt goes on from there"):
        download(published(server[0], size=size), tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()
    assert (tmp_path / "file.bin.part").stat().st_size == 1_000_000
    download(published(server[0], size=size), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server[1].asked[-1][1] == "bytes=1000000-"


def test_killed_before_the_rename(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    download(published(server[0], size=None), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_starts_again(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(b"stale")
    server[1].ranges = False
    download(published(server[0]), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


PAGE = b"<!DOCTYPE html><html><title>Quota exceeded</title></html>"


@pytest.mark.parametrize(
    ("content", "content_type", "words"),
    [
        (PAGE, "text/html; charset=utf-8", "answers with a web page"),
        (PAGE, "application/zip", "it is a web page"),
        (CONTENT[:-1] + b"\0", "application/zip", f"expected {SHA256[:16]}"),
        (CONTENT + b"x", "application/zip", "gives more than"),
        (CONTENT[:-1], "application/zip", "bytes, the published"),
    ],
    ids=["page", "page named zip", "flipped bits", "longer", "shorter"],
)
def test_another_file_is_never_used(server, tmp_path, content, content_type, words) -> None:
    server[1].content["/file.bin"], server[1].content_type = content, content_type
    size = None if words == "it is a web page" else len(CONTENT)
    with pytest.raises(UserError, match=words) as refused:
        download(published(server[0], size=size), tmp_path / "file.bin")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "file.bin").exists()
    server[1].content["/file.bin"], server[1].content_type = CONTENT, "application/zip"
    with pytest.raises(UserError) if words == "gives more than" else pytest.MonkeyPatch.context():
        download(published(server[0]), tmp_path / "file.bin")  # what was wrong is not resumed
    download(published(server[0]), tmp_path / "file.bin")


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_is_one_line(server: tuple[str, Behaviour], tmp_path: Path, status: int) -> None:
    server[1].status = status
    with pytest.raises(UserError, match=f"file.bin cannot be downloaded: HTTP Error {status}"):
        download(published(server[0]), tmp_path / "file.bin")
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_that_is_there_is_not_replaced(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="has 2,559,999 bytes, the published file.bin has 2,560,000"):
        download(published(server[0]), tmp_path / "file.bin")
    assert not server[1].asked


def test_mirrors(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    unreachable = published("http://127.0.0.1:1")
    download(unreachable, tmp_path / "file.bin", f"{server[0]}/")
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "file.bin").write_bytes(CONTENT)
    download(unreachable, tmp_path / "b" / "file.bin", str(folder))
    (folder / "file.bin").write_bytes(CONTENT[1:] + b"x")
    with pytest.raises(UserError, match=f"expected {SHA256[:16]}"):  # a mirror is trusted no more than the owner
        download(unreachable, tmp_path / "c" / "file.bin", str(folder))
    with pytest.raises(UserError, match=r"data\.mirror=ftp://x: expected a folder that is there, or an address"):
        download(unreachable, tmp_path / "d" / "file.bin", "ftp://x")


def test_nothing_is_downloaded_that_cannot_be_checked(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no published checksum"):
        download(published(server[0], None), tmp_path / "file.bin")
    with pytest.raises(UserError, match="not handed to programs"):
        download(Published("file.bin", SHA256), tmp_path / "file.bin")
