"""The options of a metric that somebody adds are read from its file, which nothing imports."""

from pathlib import Path

import pytest

from genarena.options.of_metrics import of_metric
from genarena.options.values import Count, Positive

SOURCE = """
raise SystemExit("imported")
from dataclasses import dataclass
from genarena.metrics.iw_nll_nats import ImportanceWeightedNLLNats
from genarena.metrics.recall import RecallSettings
from genarena.options.settings import Settings
from genarena.options.values import Positive

@dataclass(frozen=True)
class PowerSettings(Settings):
    power: Positive = 2.0

class Power({base}):
    Settings = {settings}
{update}
"""
OWN = "    def update(self, {asked}) -> None: ..."


@pytest.mark.parametrize(
    ("base", "settings", "update", "expected"),
    [
        ("ArenaMetric", "PowerSettings", OWN.format(asked="spec, train"), {"power": Positive}),
        ("ArenaMetric", "RecallSettings", OWN.format(asked="real, train"), {"k": Count, "num_test": Count}),
        ("ImportanceWeightedNLLNats", "PowerSettings", "", {"draws": Count, "num_test": Count, "power": Positive}),
        ("ArenaMetric", "PowerSettings", OWN.format(asked="ais_log_prob"), {"chains": Count, "power": Positive}),
    ],
    ids=["its own", "those of another metric", "those of an inherited update", "those of the evidence"],
)
def test_options_of_a_new_metric(
    base: str, settings: str, update: str, expected: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"read_{abs(hash((base, settings, update)))}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "power.py").write_text(SOURCE.format(base=base, settings=settings, update=update))
    monkeypatch.syspath_prepend(tmp_path)
    found = of_metric(f"{package}.power")
    assert expected.items() <= found.items()
    assert ("ais_log_prob" in update) or found.keys() == expected.keys()
