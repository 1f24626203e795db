"""`metrics.csv` that cannot be read is set aside, with a word; the run goes on in a new one."""

from pathlib import Path

import pytest

from genarena.errors import Untrusted
from genarena.tracking.metrics_csv import MetricsCSV


def logged(path: Path) -> MetricsCSV:
    tracker = MetricsCSV(path)
    for step in (1, 2):
        tracker.log_metrics({"train/loss": 0.5}, step)
    tracker.save()
    return tracker


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b"0.5", b"0.\xb5"),
        lambda text: text.replace(b"step", b"stup"),
        lambda text: text.replace(b"\r\n1,", b"\r\n1,7,"),
        lambda text: text + b'"' + b"x" * 200_000,
        lambda text: b"\xff\xfe" * 100,
    ],
)
def test_a_damaged_file_is_set_aside(damage, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "metrics.csv"
    logged(path)
    broken = damage(path.read_bytes())
    path.write_bytes(broken)
    tracker = logged(path)
    assert f"warning: {path} is damaged" in capsys.readouterr().err
    assert (tmp_path / "metrics.csv.damaged").read_bytes() == broken
    tracker.rewind(1)
    assert path.read_text().splitlines() == ["step,train/loss", "1,0.5"]


def test_a_damaged_step_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "metrics.csv"
    tracker = logged(path)
    path.write_text(f"step,train/loss\n1,0.5\n{'1' * 5000},0.5\nx,0.5\n")
    tracker = MetricsCSV(path)
    tracker.rewind(2)
    assert path.read_text().splitlines() == ["step,train/loss", "1,0.5"]
    assert not capsys.readouterr().err


def test_a_file_elsewhere_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "mine.csv").write_text("step\n")
    (tmp_path / "run" / "metrics.csv").symlink_to(tmp_path / "mine.csv")
    with pytest.raises(Untrusted, match="metrics.csv is a link"):
        MetricsCSV(tmp_path / "run" / "metrics.csv")
