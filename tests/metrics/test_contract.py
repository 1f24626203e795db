"""One deep contract for every metric of the folder, decided by what a metric says of itself."""

import ast
import inspect
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from genarena.config import CONF
from genarena.evaluation.asked import asked, load_metric, needed
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence.base import used
from genarena.evaluation.gathered import Evidence
from genarena.evaluation.protocol import protocol
from genarena.leaderboard.ranking import DISTANCES
from genarena.metrics import names, options
from genarena.metrics.base import ArenaMetric
from genarena.options.values import hints, is_known
from tests.small_world import OPTIONS, SETTINGS, SPEC, Drawn, Halves, furnished, some_samples

SOURCES = r"arXiv \d{4}\.\d{4,5}|doi 10\.\d{4,}/\S+|defined here"  # where a reader finds the definition

FEWEST = dict.fromkeys(("precision", "recall", "density", "coverage", "kid", "kd_domain", "energy_distance"), 50)
FEWEST |= {
    "authpct": 20,
    "nearest_neighbour_ratio": 20,
    "c2st": 100,
    "vendi": 300,
    "fd_dinov2": 1025,
    "fd_clip": 1025,
    "fd_efficientnet": 1281,
}
FEWEST |= {"fid": 2049, "fid_infinity": 5000, "inception_score": 5000}  # as in the README

Records = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Records, Records]:
    """Of some samples; and of the same samples in another order."""
    samples = some_samples()
    shuffled = samples[torch.randperm(len(samples), generator=torch.Generator().manual_seed(2))]
    with pytest.MonkeyPatch.context() as patch:
        data = furnished(patch, tmp_path_factory.mktemp("world"))
        return tuple(
            evaluate(Drawn(x).eval(), data, names(), SETTINGS, OPTIONS, progress=False).metrics
            for x in (samples, shuffled)
        )


@pytest.fixture
def records(measured: tuple[Records, Records]) -> Records:
    return measured[0]


@pytest.mark.parametrize("name", names())
def test_one_metric_that_says_what_it_is(name: str) -> None:
    metric = load_metric(name)
    assert metric.title
    assert len(metric.title) <= 16  # the heading of a column
    assert isinstance(metric.unit, str)
    assert metric.higher_is_better in (True, False, None)
    assert not (metric.towards_real and metric.higher_is_better is not None), "the best value is that of real data"
    low, high = metric.range
    assert low is None or high is None or low < high
    assert metric.min_examples >= 1
    assert inspect.getdoc(metric) != inspect.getdoc(ArenaMetric)
    assert metric.__dict__.get("__doc__"), "the class has a docstring of its own"
    assert metric.update.__doc__, "the docstring of update says what it takes, with shapes"


@pytest.mark.parametrize("name", names())
def test_the_first_lines_of_the_file_name_the_source(name: str) -> None:
    page = ast.get_docstring(ast.parse(Path(inspect.getfile(load_metric(name))).read_text())) or ""
    assert re.search(SOURCES, page), "the file begins with arXiv <id>, doi <id>, or `defined here`"


@pytest.mark.parametrize("name", names())
def test_evidence_that_exists(name: str) -> None:
    assert needed(load_metric(name))
    assert set(needed(load_metric(name))) <= set(Evidence.names())


@pytest.mark.parametrize("name", names())
def test_a_finite_value_or_a_reason(name: str, records: Records) -> None:
    record = records[name]
    json.dumps(record, allow_nan=False)
    assert record["seconds"] >= 0.0
    assert "failed" not in record
    if record["value"] is None:
        assert record["reason"]
        assert "\n" not in record["reason"]
        return
    metric = load_metric(name)
    assert isinstance(record["value"], float)
    assert math.isfinite(record["value"])
    assert (record["title"], record["unit"]) == (metric.title, metric.unit)
    assert (record["higher_is_better"], record["towards_real"]) == (metric.higher_is_better, metric.towards_real)
    assert record.get("standard_error") is None or 0.0 <= record["standard_error"] < math.inf
    assert record["n"] >= 1


@pytest.mark.parametrize("name", names())
def test_the_record_says_where_the_numbers_come_from(name: str, records: Records) -> None:
    if records[name]["value"] is None:
        pytest.skip("no value")
    kinds = used(needed(load_metric(name)))
    if any(kind.network or kind.in_chosen_space for kind in kinds):
        assert {"name", "weights"} <= set(records[name]["backbone"])
    if records[name].get("n_real") or "likelihood" in records[name]:
        assert records[name]["split"].startswith("test")


@pytest.mark.parametrize("name", names())
def test_neither_the_order_of_the_samples_nor_the_batch_size_matters(name: str, measured: tuple) -> None:
    if load_metric(name).unit == "seconds":
        pytest.skip("a clock never shows the same time twice")
    first, second = (records[name]["value"] for records in measured)
    assert second == (first if first is None else pytest.approx(first, rel=1e-6))


@pytest.mark.parametrize("name", names())
def test_the_protocol_names_its_settings_and_no_others(name: str) -> None:
    def rules(options: dict[str, Any]) -> dict[str, Any]:
        return protocol([name], SETTINGS, options)["metrics"][name]

    usual, chosen = rules(OPTIONS), asked([name], OPTIONS)[name]
    of_conditions = {"samples.conditions"}  # of conditional data alone
    assert (
        usual["settings"].items() <= chosen.settings.items()
        and chosen.settings.keys() - usual["settings"] <= of_conditions
    )
    for option, value in chosen.settings.items():
        if not isinstance(value, str):  # a choice: what else there is to choose is not known here
            another = [*value, value[-1] + 1] if isinstance(value, list) else value + 1
            given = {f"metric.{name}.{option.rpartition('.')[2]}": another}
            assert rules(OPTIONS | given)["id"] != usual["id"], option
    others = {"metric.precision.k": 7, "metric.iw_nll_nats.draws": 7, "metric.fid.num_samples": 7}
    others = {key: value for key, value in others.items() if key.split(".")[1] != name}
    assert rules(OPTIONS | others)["id"] == usual["id"]


@pytest.mark.parametrize("name", names())
def test_the_command_line_reads_the_options_from_the_source(name: str) -> None:
    chosen = asked([name])[name]
    imported = {
        key: kind for part in (*chosen.evidence.values(), chosen.own) for key, kind in hints(type(part)).items()
    }
    read = {key.split(".")[2]: kind for key, kind in options().items() if key.startswith(f"metric.{name}.")}
    assert read.keys() == imported.keys() == {key.rpartition(".")[2] for key in chosen.settings}
    assert all(kind == imported[key] for key, kind in read.items() if is_known(kind))


@pytest.mark.parametrize("name", names())
def test_the_record_has_the_settings_as_used(name: str, records: Records) -> None:
    """The models of these records have no conditions."""
    if records[name]["value"] is not None:
        given = asked([name], OPTIONS)[name].settings
        given.pop("samples.conditions", None)
        assert records[name].get("settings", {}) == given


@pytest.mark.parametrize("name", names())
def test_a_metric_of_two_sets_says_what_real_data_score(name: str, records: Records) -> None:
    asks = " ".join(needed(load_metric(name)))
    if "fake" in asks and ("real" in asks or "train" in asks) and records[name]["value"] is not None:
        assert "real" in records[name] and ("real_from" in records[name] or records[name]["real_reason"])


@pytest.mark.parametrize("name", ["precision", "recall", "density", "coverage", "vendi", "authpct", "c_t"])
def test_more_than_real_data_is_not_better(name: str) -> None:
    """Samples of half the spread of the data have several times its density."""
    assert load_metric(name).towards_real


def test_with_fewer_examples_there_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = {name: load_metric(name) for name in FEWEST}
    assert {name: max(metric.min_examples, metric.min_samples) for name, metric in metrics.items()} == FEWEST
    data = Halves(SPEC)
    data.setup()
    monkeypatch.setattr(Drawn, "sample", None)  # nor is anything made for it
    few = {"evidence.samples.num_samples": 19, "evidence.examples.num_test": 19}
    found = evaluate(Drawn(some_samples()).eval(), data, list(FEWEST), SETTINGS, few, progress=False).metrics
    assert all(f"needs at least {number:,} " in found[name].get("reason", "") for name, number in FEWEST.items())


def test_every_budget_has_a_distance_that_its_numbers_of_examples_allow() -> None:
    """Models without a likelihood are compared by it."""
    for path in sorted((CONF / "budget").glob("*.yaml")):
        budget = yaml.safe_load(path.read_text())["budget"]
        enough = min(budget["num_samples"], budget["num_test"])
        assert any(load_metric(name).min_examples <= enough for name in budget["metrics"] if name in DISTANCES), path


def test_values_lie_in_the_range_of_their_metric(records: Records) -> None:
    """Intervals end where the range does, so a range that is too narrow would cut the truth off."""
    found = {name: record for name, record in records.items() if record["value"] is not None}
    assert found["precision"]["range"] == [0.0, 1.0] and found["fd_domain"]["range"] == [0.0, None]
    for record in found.values():
        low, high = record["range"]
        assert (low is None or low <= record["value"]) and (high is None or record["value"] <= high)
