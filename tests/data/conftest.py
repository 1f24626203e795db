"""Gives each test of a data set its own cache."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))
