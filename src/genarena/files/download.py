"""Downloads of files: resumable, atomic, and checked with the published checksum. Imports no torch.

A server may send something else (a quota page with status 200, half a file). Only a file with the published checksum gets
its final name. An incomplete file is kept as `<name>.part`, and the next attempt requests the rest.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from genarena.errors import UserError
from genarena.files.cache import alone
from genarena.files.progress import Bars

BLOCK = 2**20
TIMEOUT = 30.0  # seconds without any data
ATTEMPTS = 5  # each continues where the last one was cut off


@dataclass(frozen=True)
class Published:
    """A published file.

    checksum: sha256 (64 hex digits) if it is known, else the owner's md5 (32), else None.
    url: None if the owner's server refuses downloads by programs. size: in bytes; None: unknown.
    """

    file: str
    checksum: str | None = None
    url: str | None = None
    size: int | None = None

    def check(self, path: Path) -> None:
        """Raise UserError if the file at `path` is not the published file."""
        if self.size is not None and path.stat().st_size != self.size:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes, the published {self.file} has {self.size:,}")
        if self.checksum is None:
            return
        kind = "sha256" if len(self.checksum) == 64 else "md5"
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
        if found != self.checksum:
            page = " (it is a web page)" if looks_like_html(path) else ""
            raise UserError(
                f"{path} is not the published {self.file}{page}: it has {kind} {found[:16]}, expected "
                f"{self.checksum[:16]}"
            )

    def __str__(self) -> str:
        return f"{self.file} ({self.size:,} bytes)" if self.size else self.file


def looks_like_html(path: Path) -> bool:
    """Whether a file begins like an HTML or XML page."""
    with open(path, "rb") as file:
        beginning = file.read(512).lstrip().lower()
    return beginning.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml"))


def download(published: Published, path: Path, mirror: str | None = None) -> None:
    """Download the published file to `path`. An existing file is checked and kept.

    mirror: a folder or an address with a file of this name. Raises UserError if there is no complete file; then nothing is
    written at `path`.
    """
    if path.is_file():
        published.check(path)
        return
    url = published.url if mirror is None else f"{_address(mirror)}/{published.file}"
    if url is None:
        raise UserError(f"{published.file} is not handed to programs by its owner")
    if published.checksum is None:
        raise UserError(f"{published.file} has no published checksum, so it is not downloaded")
    part = path.with_name(f"{path.name}.part")
    with _folder_for(path), alone(path.with_name(f".{path.name}.lock")):
        if path.is_file():  # another process was faster
            return
        _fetch_all(url, part, published.size)
        try:
            published.check(part)
        except UserError as error:
            part.unlink()
            raise UserError(f"{url} gave something else, nothing was kept: {error}") from error
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)


@contextmanager
def _folder_for(path: Path) -> Iterator[None]:
    """Create the folders of a file. After an error, those that are still empty are removed again."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # a folder is not empty
            for folder in made:
                folder.rmdir()
        raise


def _address(mirror: str) -> str:
    """The address of a mirror, without the last slash. Raises UserError if it is neither a folder nor http, https or file."""
    if Path(mirror).is_dir():
        return Path(mirror).resolve().as_uri()
    if urllib.parse.urlsplit(mirror).scheme not in ("http", "https", "file"):
        raise UserError(
            f"data.mirror={mirror}: expected a folder that is there, or an address that begins with https://"
        )
    return mirror.rstrip("/")


def _fetch_all(url: str, part: Path, size: int | None) -> None:
    """Fetch the whole file, in several attempts if needed; each continues where the last one stopped. Raises UserError."""
    for attempt in range(1, ATTEMPTS + 1):
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch(url, part, size)
            return
        except urllib.error.HTTPError as error:
            raise UserError(f"{url} cannot be downloaded: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            gained = (part.stat().st_size if part.exists() else 0) > before
            if attempt == ATTEMPTS or not gained:
                kept = f"; {part} is kept, and the next attempt goes on from there" if part.exists() else ""
                raise UserError(f"{url} cannot be downloaded: {error}{kept}") from error


def _fetch(url: str, part: Path, size: int | None) -> None:
    there = part.stat().st_size if part.exists() else 0
    if size is not None and there >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if there and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # the file is complete; the checksum is verified later
        raise
    with response:
        _refuse_page(response, url)
        goes_on = response.status == http.client.PARTIAL_CONTENT and _starts_at(response) == there
        length = int(response.headers.get("Content-Length") or 0)
        with open(part, "ab" if goes_on else "wb") as file, Bars() as bars:
            blocks = iter(lambda: response.read(BLOCK), b"")
            received = 0
            for block in bars.track(blocks, f"downloading {part.stem}", -(-length // BLOCK)):
                file.write(block)
                received += len(block)
                if size is not None and file.tell() > size:
                    raise UserError(f"{url} gives more than the {size:,} bytes that were published")
    if received < length:
        raise http.client.IncompleteRead(b"", length - received)


def _starts_at(response: http.client.HTTPResponse) -> int:
    """The first byte of a partial response, from `Content-Range: bytes <first>-<last>/<size>`; -1 if it is not given."""
    first = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else -1


def _refuse_page(response: http.client.HTTPResponse, url: str) -> None:
    if response.headers.get_content_type() == "text/html":
        raise UserError(f"{url} answers with a web page instead of the file (a quota, a login or a moved address)")
