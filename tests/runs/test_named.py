"""Run folders as a command line names them: folders, folders above them, patterns."""

from pathlib import Path

import pytest

from genarena.errors import UserError
from genarena.runs import named
from tests.leaderboard.rows import make_row, write_rows


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Finished runs digits/vae/0 and digits/made/1, and an unfinished one."""
    write_rows(tmp_path, [make_row("vae"), make_row("made")])
    for name in ("vae/0", "made/1", "vae/2"):
        (tmp_path / "digits" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "digits" / name / "config.yaml").write_text("{}")
    return tmp_path / "digits"


def test_folders_and_patterns(runs: Path) -> None:
    vae, made = runs / "vae" / "0", runs / "made" / "1"
    for text, found in (
        (f"{vae}", [vae]),
        (f"{vae},{made}", [vae, made]),
        (f"{vae},{runs}", [vae, made]),  # each once
        (f"{runs}", [made, vae]),
        (f"{runs}/v*/*", [vae]),
        (f"{runs / 'vae' / '2'}", [runs / "vae" / "2"]),  # named itself, though it is not finished
    ):
        assert named.folders(text) == found


@pytest.mark.parametrize(
    ("name", "said"),
    [("vaes", "there is no run"), ("v?/9", "there is no finished run"), ("empty", "there is no finished")],
)
def test_a_name_without_a_run_is_refused(name: str, said: str, runs: Path) -> None:
    (runs / "empty").mkdir()
    with pytest.raises(UserError, match=said):
        named.folders(f"{runs}/{name}")
