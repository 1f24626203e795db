"""A metric that fails takes no other with it, and a sample that is not finite never scores: for every model there is."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from genarena.build import build
from genarena.config import available
from genarena.errors import UserError
from genarena.evaluation.blocks import BLOCK
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.records import plain
from genarena.evaluation.row import metric_lines
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import Likelihood
from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.metrics.nearest_neighbour_ratio import NearestNeighbourRatio
from genarena.models.base import GenerativeModel
from genarena.models.baseline.uniform import Uniform
from genarena.models.capabilities import Weighs, Withholds
from genarena.spec import Batch, DataSpec
from tests.homes import class_of, pictured
from tests.models.tiny import often, tiny
from tests.small_world import OPTIONS, SETTINGS, SIZES, SPEC, Drawn, Halves, some_samples

MODELS = [name for name in available("model") if not name.endswith("_paper") and pictured(name)]
MODELS = [name for name in MODELS if not class_of(name).needs_condition]
FEW = {"evidence.samples.num_samples": 3, "evidence.examples.num_test": 3}
NO_WEIGHTS = ("heldout", "kde", "memoriser", "uniform")  # models whose samples do not depend on any
FEW_STEPS = FEW | {"evidence.probability_flow.num_test": 2}


@pytest.fixture(scope="module")
def data() -> Halves:
    module = Halves(SPEC)
    module.setup()
    return module


def fitted(name: str, data: Halves) -> GenerativeModel:
    """A small model that has seen a batch of the data set, with every weight away from zero, where a start would hide it."""
    torch.manual_seed(0)
    model, batch = build(tiny(name, "data.spec.num_levels=16"), "model").train(), Batch(data.train.x[:32])
    with torch.no_grad():
        model.observe(batch)
        model.loss(batch)
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    if isinstance(model, Withholds):
        model.withhold(data.val.x)
    return model.eval()


def test_metrics_of_another_kind_of_data_are_in_the_row_and_not_shown(data: Halves) -> None:
    model = Uniform(SPEC).eval()
    metrics = evaluate(model, data, ["pesq", "energy_distance", "iw_nll_nats", "nll_nats"], SETTINGS, FEW).metrics
    assert [name for name, record in metrics.items() if record.get("other_data")] == ["pesq", "energy_distance"]
    assert metrics["pesq"]["reason"].startswith("needs a model of sound given its mel")
    lines = "\n".join(metric_lines(metrics))
    assert "nll_nats  " in lines and "no iw_nll_nats: " in lines and "pesq" not in lines and "energy" not in lines
    assert metric_lines({"pesq": metrics["pesq"]}) == [f"  no pesq: {metrics['pesq']['reason']}"], (
        "all that was asked for"
    )


def drawn(model: GenerativeModel) -> Tensor:
    """Samples under a fixed seed."""
    torch.manual_seed(1)
    with torch.no_grad():
        return model.sample(2)


def broken_samples(samples: Tensor) -> list[bool]:
    return (~samples.float().isfinite()).flatten(1).any(1).tolist()


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is tested here, and in no time."""
    monkeypatch.setattr(NearestNeighbourRatio, "min_examples", 1)


@pytest.mark.parametrize("name", often(MODELS))
def test_a_nan_in_the_weights_never_becomes_a_valid_picture(name: str, data: Halves) -> None:
    """In one tensor it marks every sample, or does not reach them; in all of them no metric has a value. So does infinity."""
    model = fitted(name, data)
    weights = [value for value in model.state_dict().values() if value.is_floating_point()]
    sound, before = drawn(model), [value.clone() for value in weights]
    assert sound.dtype == torch.uint8
    for index in {round(share * (len(weights) - 1)) for share in (0.0, 0.3, 0.6, 1.0)} if weights else ():
        weights[index].fill_(math.nan)
        samples = drawn(model)
        weights[index].copy_(before[index])
        assert all(broken_samples(samples)) or torch.equal(samples, sound)
    for value in weights:
        value.fill_(math.inf)
    samples = drawn(model)
    assert all(broken_samples(samples)) or (name in NO_WEIGHTS and torch.equal(samples, sound))
    for value in weights:
        value.fill_(math.nan)
    chosen = ["nearest_neighbour_ratio", "sampling_seconds", "ode_nll_nats"]
    found = evaluate(model, data, chosen, SETTINGS, FEW_STEPS, progress=False)
    assert found.metrics["ode_nll_nats"]["value"] is None  # and the solver comes to an end
    if name in NO_WEIGHTS:
        assert torch.equal(drawn(model), sound)
        return
    assert found.nonfinite_samples == found.metrics["sampling_seconds"]["nonfinite_samples"] == 3
    record = found.metrics["nearest_neighbour_ratio"]
    assert (record["value"], record["nonfinite_samples"]) == (None, 3)
    assert record["reason"] == "3 of 3 samples are not finite"


def test_an_infinite_weight_has_no_score_even_where_an_activation_hides_it(data: Halves) -> None:
    """tanh(inf) is 1, and relu(-inf) is 0: all pictures are white, or the same."""
    model = fitted("dcgan", data)
    bias = list(model.generator.parameters())[-1]
    for value in (math.inf, -math.inf, math.nan):
        bias.data.fill_(value)
        found = evaluate(model, data, ["nearest_neighbour_ratio"], SETTINGS, FEW, progress=False)
        record = found.metrics["nearest_neighbour_ratio"]
        assert record["value"] is None
        if math.isinf(value):
            assert not any(broken_samples(found.fake))
            assert record["reason"].startswith("a parameter of DCGAN is not finite (generator.")


def test_one_broken_sample_is_counted(data: Halves) -> None:
    """The block that holds it comes as floats, the others as levels."""
    blocks = list(some_samples().split(BLOCK))
    blocks[1] = blocks[1].float()
    blocks[1][40, 0, 3, 3] = math.inf
    model = Drawn(some_samples()).eval()
    model.sample = lambda num_samples, y=None: blocks.pop(0)
    found = evaluate(model, data, ["nearest_neighbour_ratio"], SETTINGS, SIZES, progress=False)
    assert found.metrics["nearest_neighbour_ratio"]["reason"] == "1 of 300 samples is not finite"
    assert found.nonfinite_samples == 1
    assert found.fake.isfinite().flatten(1).all(1).sum() == 299


def broken(error: Exception) -> Callable:
    def fail(self: ArenaMetric, **pieces: object) -> float:
        raise error

    return fail


def two(data: Halves, settings: EvaluationSettings = SETTINGS, debug: bool = False) -> tuple[dict, dict]:
    """The records of a metric and of one after it."""
    chosen = ["nearest_neighbour_ratio", "bits_per_dim"]
    found = evaluate(Drawn(some_samples()).eval(), data, chosen, settings, OPTIONS, progress=False, debug=debug)
    json.dumps(found.metrics, allow_nan=False)
    return tuple(found.metrics.values())


@pytest.mark.parametrize("stage", ["__init__", "update", "compute", "record"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (np.linalg.LinAlgError("eigenvalues\ndid not converge"), "LinAlgError: eigenvalues"),
        (MemoryError(), "MemoryError"),
        (KeyError("k"), "KeyError: 'k'"),
        (UserError("by a metric's own code"), "UserError: by a metric's own code"),
        (ZeroDivisionError("by \x1b[31mzero"), "ZeroDivisionError: by \\x1b[31mzero"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_metric_that_fails_has_a_reason_and_the_others_their_values(
    stage: str,
    error: Exception,
    reason: str,
    data: Halves,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    failing = broken(error)
    if stage == "update":  # its parameters say what it needs

        def failing(self: ArenaMetric, spec: DataSpec) -> None:
            raise error

    monkeypatch.setattr(NearestNeighbourRatio, stage, failing)
    record, after = two(data)
    assert {key: record[key] for key in ("value", "reason", "failed")} == {
        "value": None,
        "reason": reason,
        "failed": True,
    }
    assert after["value"] > 0.0
    assert capfd.readouterr().err == f"warning: metric nearest_neighbour_ratio has no value: {reason}\n"
    two(data, debug=True)
    assert "in fail" in capfd.readouterr().err


@pytest.mark.parametrize("error", [MemoryError(), UserError("a picture is damaged"), KeyError("real")])
def test_evidence_that_fails_takes_only_the_metrics_that_use_it(
    error: Exception, data: Halves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Halves, "seen", property(broken(error)))
    record, after = two(data)
    assert record["failed"] and record["reason"].startswith(type(error).__name__)
    assert after["value"] > 0.0


@pytest.mark.parametrize("stage", ["update", "compute", "record"])
def test_what_explains_a_missing_value_can_be_written(
    stage: str, data: Halves, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Unavailable` carries facts of the model, such as a log Z that is not finite."""
    facts = {"estimator": {"log_z": math.inf, "steps": (1, np.float64("nan"))}}
    failing = broken(Unavailable("too few chains", facts))
    if stage == "update":

        def failing(self: ArenaMetric, spec: DataSpec) -> None:
            raise Unavailable("too few chains", facts)

    monkeypatch.setattr(NearestNeighbourRatio, stage, failing)
    record, _ = two(data)
    assert (record["value"], record["reason"]) == (None, "too few chains") and "failed" not in record
    assert record["estimator"] == {"log_z": None, "steps": [1, None]}
    assert record["not_finite"] == ["estimator.log_z", "estimator.steps[1]"]


def test_a_bound_of_few_draws_may_be_infinite(data: Halves) -> None:
    """The first weight of an example is 0: `nats` of one draw is null with a note, the bound of two has its value."""

    class OneZero(Drawn, Weighs):
        likelihood = Likelihood.LOWER_BOUND

        def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
            weights = torch.full((num_samples, len(x)), -3.0)
            weights[0] = -math.inf
            return weights

    options = {"metric.iw_bounds.k": [1, 2], "metric.iw_bounds.num_test": 3}
    found = evaluate(OneZero(some_samples()).eval(), data, ["iw_bounds"], SETTINGS, options, progress=False)
    record = json.loads(json.dumps(found.metrics["iw_bounds"], allow_nan=False))
    assert record["value"] == pytest.approx(3.0 + math.log(2.0))
    assert record["nats"] == [None, pytest.approx(record["value"])]
    assert record["not_finite"] == ["nats[0]"]


def test_a_number_that_is_not_finite_inside_a_record_is_null(data: Halves, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first draws of a bound may be -inf: the value is finite all the same, and the row can be written."""
    record = {
        "n": 5,
        "nats": [math.inf, torch.tensor(2.5)],
        "deep": {"numpy": np.float32("nan"), 3: np.arange(2)},
        "ok": (1, True),
    }
    monkeypatch.setattr(NearestNeighbourRatio, "record", lambda self: record)
    metrics = evaluate(
        Drawn(some_samples()).eval(), data, ["nearest_neighbour_ratio"], SETTINGS, SIZES, progress=False
    ).metrics
    found = json.loads(json.dumps(metrics, allow_nan=False))["nearest_neighbour_ratio"]
    assert found["value"] > 0.0
    assert (found["nats"], found["deep"], found["ok"]) == ([None, 2.5], {"numpy": None, "3": [0, 1]}, [1, True])
    assert found["not_finite"] == ["nats[0]", "deep.numpy"]
    with pytest.raises(TypeError, match="object is no data"):
        plain([object()])


RECORDS = [
    ({}, "lacks n"),
    ({"n": 2.5}, "n is 2.5"),
    ({"n": 3, "k": "five"}, "'five' is not of type"),
    ({"n": 3, "x": object()}, "no data"),
]


@pytest.mark.parametrize(("record", "said"), RECORDS, ids=lambda value: str(value)[:20])
def test_a_record_that_no_row_can_hold_is_a_reason(
    record: dict, said: str, data: Halves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NearestNeighbourRatio, "record", lambda self: record)
    names = ["nearest_neighbour_ratio", "bits_per_dim"]
    broken, sound = evaluate(Drawn(some_samples()).eval(), data, names, SETTINGS, FEW, progress=False).metrics.values()
    assert broken["value"] is None and said in broken["reason"]
    assert sound["value"] > 0
