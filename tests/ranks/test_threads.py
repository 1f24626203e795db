"""A repeatable run keeps its number of threads; a run by the clock follows the load."""

import json
from pathlib import Path

import pytest
import torch

from genarena.ranks.threads import Follower, keeps_number, settle
from genarena.startup import threads


@pytest.fixture
def number(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of threads that torch is told to use, the newest last."""
    told = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: told[-1])
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    for name in (*threads.OF_THE_USER, threads.CHOSEN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    return told


def resolved(minutes: float | None, resume: Path | None = None) -> dict:
    return {"budget": {"minutes": minutes}, "resume": resume and str(resume)}


def test_a_resumed_run_has_as_many_threads_as_before(
    number: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "choose", lambda: 1)
    (tmp_path / "result.json").write_text(json.dumps({"hardware": {"threads": 3}}))
    settle(resolved(None, tmp_path))
    assert number[-1] == 3
    settle(resolved(1.0, tmp_path))  # its end depends on the clock
    assert number[-1] == 1
    (tmp_path / "result.json").write_text(json.dumps({"hardware": {"threads": 64}}))
    settle(resolved(None, tmp_path))  # of another machine
    assert number[-1] == 1
    for damaged in ("{", "[" * 100_000, '"' + "x" * 20_000_000 + '"'):
        (tmp_path / "result.json").write_text(damaged)
        settle(resolved(None, tmp_path))
        assert number[-1] == 1
    (tmp_path / "result.json").unlink()
    (tmp_path / "result.json").symlink_to("/dev/zero")  # never ends
    settle(resolved(None, tmp_path))
    assert number[-1] == 1


def test_who_keeps_the_number(number: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert keeps_number(resolved(None)["budget"]) and not keeps_number(resolved(1.0)["budget"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert keeps_number(resolved(1.0)["budget"])
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert keeps_number(resolved(1.0)["budget"])


def test_cores_are_given_up_at_once_and_taken_back_after_two_looks(
    number: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    free = iter([4, 1, 4, 2, 3, 3])
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(threads.Load, "cores", lambda self: 0.0)
    monkeypatch.setattr(threads, "wanted", lambda taken: next(free))
    follower = Follower()
    seen = []
    for _ in range(12):
        clock[0] += 1.0  # it looks every two seconds
        follower.look()
        seen.append(number[-1])
    follower.rest()
    assert seen == [4, 4, 4, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert follower.seconds == {4: 4.0, 1: 4.0, 2: 4.0, 3: 0.0}
