"""Archives from anywhere: unpacked into the folder that is named, whole, or not at all."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from genarena.data.reading import archives
from genarena.data.reading.archives import unpack
from genarena.errors import ArenaError, DataError, Untrusted
from tests.damage import damaged

GOOD = {"set/a.txt": b"a" * 1000, "set/b/c.txt": b"c" * 2000}


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, compression  # ZipInfo would tidy the name up
            archive.writestr(info, content)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


PACK = {"zip": zipped, "tar": tarred}


@pytest.mark.parametrize("kind", PACK)
def test_unpacked_whole(tmp_path: Path, kind: str) -> None:
    unpack(PACK[kind](tmp_path / f"a.{kind}", GOOD), tmp_path / "out", "set")
    assert {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*.txt")} == {
        "a.txt": GOOD["set/a.txt"],
        "b/c.txt": GOOD["set/b/c.txt"],
    }
    with pytest.raises(DataError, match="into a new folder only"):
        unpack(tmp_path / f"a.{kind}", tmp_path / "out")
    with pytest.raises(DataError, match="has no folder other"):
        unpack(tmp_path / f"a.{kind}", tmp_path / "elsewhere", "other")


def refused(archive: Path, words: str, kind: type[ArenaError] = Untrusted, **options: int) -> None:
    folder = archive.parent / "inside" / "out"
    before = set(archive.parent.rglob("*"))
    with pytest.raises(kind, match=words) as error:
        unpack(archive, folder, **options)
    assert "\n" not in str(error.value)
    assert set(archive.parent.rglob("*")) - before <= {folder.parent}  # nothing is left, inside or outside


ESCAPES = ["../evil", "set/../../evil", "/evil", "C:/evil", "..\\evil", "\\\\server\\evil", "set/./../../evil"]


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_escape(tmp_path: Path, kind: str, name: str) -> None:
    refused(PACK[kind](tmp_path / f"a.{kind}", {"set/a.txt": b"fine", name: b"evil"}), "leaves the folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc"
        archive.addfile(info)
        info = tarfile.TarInfo("link/passwd")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    refused(tmp_path / "a.tar", "'link' is a link, a device")


def test_links_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc")
    refused(tmp_path / "a.zip", "'link' is a link")


@pytest.mark.parametrize("kind", PACK)
def test_names_that_come_twice(tmp_path: Path, kind: str) -> None:
    refused(PACK[kind](tmp_path / f"a.{kind}", {"a.txt": b"1", "A.TXT": b"2"}), "comes twice")


@pytest.mark.parametrize("kind", PACK)
def test_a_file_that_is_a_folder_too(tmp_path: Path, kind: str) -> None:
    refused(PACK[kind](tmp_path / f"a.{kind}", {"a": b"1", "a/b": b"2"}), "damaged or no archive", DataError)


@pytest.mark.parametrize("kind", PACK)
def test_bombs(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = PACK[kind](tmp_path / f"a.{kind}", {"zeros": b"\0" * 5_000_000})
    assert bomb.stat().st_size < 50_000
    refused(bomb, "at most .* are allowed", max_bytes=1_000_000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    refused(PACK[kind](tmp_path / f"b.{kind}", {str(n): b"" for n in range(4)}), "unpacks into 4 files")


def test_a_zip_that_lies_about_its_size(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"zeros": b"\0" * 100_000})
    content = path.read_bytes()
    lie = content.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != content
    path.write_bytes(lie)
    refused(path, "damaged", DataError)
    overlapping = zipped(tmp_path / "b.zip", {"zeros": b"\0" * 100_000})
    content = overlapping.read_bytes().replace((100_000).to_bytes(4, "little"), (2_000_000_000).to_bytes(4, "little"))
    overlapping.write_bytes(content)
    refused(overlapping, "times its size")


@pytest.mark.parametrize("kind", PACK)
def test_a_page_half_a_file_and_a_flipped_bit(tmp_path: Path, kind: str) -> None:
    path = PACK[kind](tmp_path / f"a.{kind}", {**GOOD, "noise": bytes((i * i + i // 7) % 251 for i in range(50_000))})
    content = path.read_bytes()
    for other in (b"<html>quota</html>", b"", content[: len(content) // 2], content[:-20]):
        path.write_bytes(other)
        refused(path, "damaged or no archive|ends after", DataError)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 16
    path.write_bytes(flipped)
    refused(path, "damaged", DataError)


@pytest.mark.parametrize(("field", "value"), [("method", 97), ("version", 99)])
def test_a_zip_that_this_python_cannot_read(tmp_path: Path, field: str, value: int) -> None:
    """Another way of compression, or a later version of the format: zipfile raises NotImplementedError for both."""
    path = zipped(tmp_path / "a.zip", {"a": b"1"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for header, places in ((b"PK\x03\x04", {"version": 4, "method": 8}), (b"PK\x01\x02", {"version": 6, "method": 10})):
        content[content.index(header) + places[field]] = value
    path.write_bytes(content)
    refused(path, "damaged or no archive: .*(compression|version)", DataError)


def test_half_of_an_earlier_attempt_is_not_kept(tmp_path: Path) -> None:
    half = tmp_path / ".out.half"
    half.mkdir()
    (half / "left").write_text("by kill -9")
    unpack(zipped(tmp_path / "a.zip", GOOD), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["set"]
    assert not half.exists()


@pytest.mark.parametrize("kind", PACK)
def test_a_damaged_archive_is_an_error_or_unpacked(tmp_path: Path, kind: str) -> None:
    good = PACK[kind](tmp_path / "good", {**GOOD, "noise": bytes(range(256)) * 4}).read_bytes()
    for number, content in enumerate(damaged(good, 300)):
        (tmp_path / "bad").write_bytes(content)
        try:
            unpack(tmp_path / "bad", tmp_path / f"out{number}", max_bytes=10**7)
        except ArenaError as error:
            assert "\n" not in str(error)
            assert not (tmp_path / f"out{number}").exists()
    assert {path.name.rstrip("0123456789") for path in tmp_path.iterdir()} <= {"good", "bad", "out"}
