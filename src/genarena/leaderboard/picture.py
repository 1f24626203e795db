"""A picture of the page for the README, and the structure of the page that it was taken of.

The structure is kept beside the picture: a test makes the page anew and compares, so that the picture is of this page.
"""

import hashlib
import io
import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from PIL import Image

from genarena.errors import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1400, 1500  # pixels of the page that are shown, from the top
COLOURS = 256  # of the picture: small, and the text stays sharp
SECONDS = 120


class _Structure(HTMLParser):
    """Collects the sections, the columns of the first table and the titles of plots."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.columns: dict[str, dict[str, Any]] = {}
        self.presets: list[str] = []
        self.plots: list[str] = []
        self.title: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "section":
            self.sections.append(given.get("id") or "")
        if tag == "th" and "data-column" in given and given["data-column"] not in self.columns:
            entry = {
                "title": given["data-title"],
                "aspect": given["data-aspect"],
                "presets": (given["data-presets"] or "").split(),
            }
            self.columns[str(given["data-column"])] = entry | {"shown": "hidden" not in given}
        if tag == "button" and "data-preset" in given:
            self.presets.append(str(given["data-preset"]))
        if tag == "figcaption":
            self.title = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "figcaption" and self.title is not None:
            self.plots += [text for text in self.title[:1] if text]
            self.title = None

    def handle_data(self, data: str) -> None:
        if self.title is not None and data.strip():
            self.title.append(data.strip())


def structure(html: str, anchors: list[str]) -> dict[str, Any]:
    """Sections, presets, columns and plots of a page. anchors: of its tables, whose names depend on the data."""
    found = _Structure()
    found.feed(html[: html.index('<div class="grids">')] if '<div class="grids">' in html else html)
    sections = _Structure()
    sections.feed(html)
    return {
        "sections": ["table" if name in anchors else name for name in sections.sections],
        "presets": found.presets,
        "columns": found.columns,
        "plots": found.plots,
    }


def take(page: Path, picture: Path) -> str:
    """Write a PNG of the top of a page. Returns its sha256. Raises UserError where there is no Chromium or it fails."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError(f"a picture of the page takes a browser: none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={WIDTH},{HEIGHT}",
        ]
        command = [
            browser,
            *options,
            f"--user-data-dir={folder}/profile",
            f"--screenshot={shot}",
            page.resolve().as_uri(),
        ]
        try:
            subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
            image = Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
        except (OSError, subprocess.SubprocessError) as error:
            raise UserError(f"{browser} took no picture of {page}: {error}") from error
    buffer = io.BytesIO()
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(buffer, "PNG", optimize=True)
    picture.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()
