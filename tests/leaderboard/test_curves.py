"""Means over equal parts of the budget; validation rows take the share of the training row before them."""

from pathlib import Path

from genarena.leaderboard import curves


def test_downsampled_to_means(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    lines = ["step,train/loss,train/kl,progress,val/loss"]
    lines += [f"{i},{i},7,{i / 1000}," for i in range(1000)]
    lines += ["1000,,,,5.5", "1001,nan,,1.0,", "1002,,,,inf", "bro"]
    path.write_text("\n".join(lines))
    found = curves.read(path)
    assert set(found) == {"train/loss", "val/loss"}
    assert len(found["train/loss"]) == curves.NUM_POINTS
    assert found["train/loss"][0] == (sum(range(20)) / 20 / 1000, sum(range(20)) / 20)
    assert found["val/loss"] == [(0.999, 5.5)]
    assert curves.read(tmp_path / "none.csv") == {}
