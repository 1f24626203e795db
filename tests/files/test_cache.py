"""The cache: where it cannot be made, the line names the variable that moves it."""

from pathlib import Path

import pytest

from genarena.errors import UserError
from genarena.files.cache import alone, cache_folder, writable_cache


def test_a_home_that_cannot_be_written_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENARENA_CACHE", raising=False)
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(UserError, match=r"pictures cannot be written \(.*\): set GENARENA_CACHE") as error:
        writable_cache("pictures")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="set GENARENA_CACHE"), alone(cache_folder() / "weights" / "a.lock"):
        pass
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))
    assert writable_cache("pictures") == tmp_path / "cache" / "pictures"
    assert (tmp_path / "cache" / "pictures").is_dir()
