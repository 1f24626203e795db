"""Rows are sealed; one that was changed is refused where it is read, and counts as none where a run is looked for."""

import json
from pathlib import Path

import pytest

from genarena.errors import Untrusted, UserError
from genarena.runs import results
from genarena.runs.seals import digest, seal
from tests.leaderboard.rows import make_row


def test_a_row_is_sealed_like_weights(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for value in (1.0, 2.0):
        results.write_row(make_row(value=value), path)
        assert seal(path).read_text() == f"{digest(path)}  result.json\n"
        assert results.read_row(path) == make_row(value=value)
    assert {each.name for each in tmp_path.iterdir()} == {"result.json", "result.json.sha256"}


def test_an_edited_row_is_named_and_counts_as_none(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "result.json"
    results.write_row(make_row(value=2.0), path)
    assert results.is_finished(path)
    whole, sealed = path.read_text(), seal(path).read_text()
    for edited, its_seal in ((whole.replace('"value": 2.0', '"value": 0.5', 1), sealed), (whole, None), (whole, "")):
        path.write_text(edited)
        seal(path).unlink(missing_ok=True)
        if its_seal is not None:
            seal(path).write_text(its_seal)
        with pytest.raises(Untrusted, match=r"result\.json is damaged, or not sealed by genarena"):
            results.read_row(path)
        assert not results.is_finished(path)
        assert capsys.readouterr().err.count(f"warning: {path} is damaged") == 1
        assert not results.is_finished(path) and not capsys.readouterr().err, "it is named once"
    assert not results.is_finished(tmp_path / "none.json") and not capsys.readouterr().err


def test_a_kill_while_a_row_is_replaced_leaves_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    results.write_row(make_row(value=1.0), path)

    class Killed(BaseException):
        pass

    genuine, steps, count = results.replace_atomically, [0], 0

    def dies(target: Path, write: object) -> None:
        if steps[0] == 0:
            raise Killed
        steps[0] -= 1
        genuine(target, write)

    monkeypatch.setattr("genarena.runs.seals.replace_atomically", dies)
    monkeypatch.setattr(results, "replace_atomically", dies)
    while True:
        steps[0] = count
        try:
            results.write_row(make_row(value=2.0), path)
            break
        except Killed:
            assert results.read_row(path)["metrics"]["fd_domain"]["value"] in (1.0, 2.0)
        count += 1
    assert count == 3


def test_codes_of_a_terminal_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    results.write_row(make_row(model="\x1b[31mred", overrides=["a=\x07"]), path)
    row = results.read_row(path)
    assert (row["model"], row["overrides"]) == (r"\x1b[31mred", [r"a=\x07"])
    path.write_text(json.dumps({"model": "\x1b[31m"}))
    with pytest.raises(UserError) as refused:
        results.read_row(path)
    assert "\x1b" not in str(refused.value) and "\n" not in str(refused.value)
