"""The speed of a machine, compared with the best that was measured on it."""

import json
from pathlib import Path

import pytest
import torch

from genarena.ranks import calibration

CPU = torch.device("cpu")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path))
    return tmp_path / calibration.FILE


def test_the_rate_is_that_of_products_without_interruptions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fifth product lasts a hundred times as long, as if another process had the core."""
    clock, count = [0.0], [0]

    def product(matrix: torch.Tensor, device: torch.device) -> float:
        count[0] += 1
        taken = 1e-3 * (100.0 if count[0] % 5 == 0 else 1.0)
        clock[0] += taken
        return taken

    monkeypatch.setattr(calibration, "_time_of_product", product)
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    expected = 2.0 * calibration.ROWS_PER_THREAD**3 / 1e-3 / 1e9
    assert calibration.measure(CPU, 2.0) == pytest.approx(expected)


def test_a_slow_machine_is_measured_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([50.0, 100.0, 50.0, 60.0, 95.0, 70.0, 60.0, 50.0])
    monkeypatch.setattr(calibration, "measure", lambda device, seconds: next(readings))
    assert calibration.steady(CPU) == 50.0  # nothing is known yet
    assert calibration.steady(CPU) == 100.0
    assert calibration.steady(CPU) == 95.0  # a moment
    assert calibration.steady(CPU) == 70.0  # it stays slow


def test_the_best_is_remembered_for_each_device_and_number_of_threads(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert calibration.best(CPU, [70.0, 90.0]) == 90.0
    assert calibration.best(CPU, [60.0]) == 90.0
    monkeypatch.setattr(torch, "get_num_threads", lambda: 61)
    assert calibration.best(CPU, [1.0]) == 1.0
    assert sorted(json.loads(cache.read_text()).values()) == [1.0, 90.0]


@pytest.mark.parametrize("content", ["", "[1.0]", '{"a": "b"}', "\xff"])
def test_a_damaged_memory_is_no_memory(cache: Path, content: str) -> None:
    cache.write_text(content, "latin-1")
    assert calibration.best(CPU, [5.0]) == 5.0
    assert calibration.best(CPU, [4.0]) == 5.0


def test_a_cache_that_cannot_be_written_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "file"))
    assert calibration.best(CPU, [5.0]) == 5.0
    assert calibration.measure(CPU, 0.0) > 0.0
