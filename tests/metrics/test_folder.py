"""The folder is the list of metrics."""

import subprocess
import sys

import pytest

from genarena import metrics
from genarena.errors import UserError
from genarena.evaluation.asked import load_metric


def test_an_unknown_metric_names_the_nearest_or_all() -> None:
    with pytest.raises(UserError, match="metrics=recal: no such metric; did you mean recall?"):
        load_metric("recal")
    with pytest.raises(UserError, match="there are .*bits_per_dim, .*sampling_seconds"):
        metrics.check(["xyz"])
    with pytest.raises(UserError, match="expected a list"):
        metrics.check("recall")
    for nonsense in (None, 3):
        with pytest.raises(UserError, match=r"expected a list, e\.g\. metrics=\[bits_per_dim\]"):
            metrics.check(nonsense)
    assert metrics.check(["recall", "fid", "recall"]) == ["recall", "fid"]


def test_listing_does_not_import_torch() -> None:
    code = "import sys; from genarena import metrics; metrics.check(['fid']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_metric_without_a_title_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(load_metric("recall"), "title")
    with pytest.raises(UserError, match="metrics=recall: its class has no title, the heading of its column"):
        load_metric("recall")


def test_a_metric_that_misses_a_part_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = load_metric("nearest_neighbour_ratio")
    with monkeypatch.context() as patch:
        patch.delattr(metric, "record")
        with pytest.raises(
            UserError, match="^metrics=nearest_neighbour_ratio: its class has no `record`, which gives n"
        ):
            load_metric("nearest_neighbour_ratio")
    monkeypatch.setattr(metric, "update", lambda self, reals: None)
    with pytest.raises(UserError, match="its `update` asks for reals; there are .*real"):
        load_metric("nearest_neighbour_ratio")
