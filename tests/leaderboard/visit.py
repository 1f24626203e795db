"""A page in a browser tab."""

from pathlib import Path
from typing import Any


class Visit:
    """A tab with the page in it; `complaints` are what the console said and requests for anything but the page."""

    def __init__(self, browser: Any, path: Path, anchor: str = "", **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(120_000)
        self.tab = self.context.new_page()
        self.complaints: list[str] = []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", self._request)
        self.url = path.as_uri()
        self.tab.goto(f"{self.url}{anchor}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.complaints.append(f"asked for {request.url}")

    def names(self) -> list[str]:
        return [name.split()[0] for name in self.tab.locator("table.board tbody tr:visible th").all_inner_texts()]
