"""A metric that fails takes no other with it, and a sample that is not finite never scores: for every model there is."""

import dataclasses
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from genarena.build import build
from genarena.config import available, compose
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.records import plain
from genarena.metrics.base import ArenaMetric
from genarena.metrics.nearest_neighbour_ratio import NearestNeighbourRatio
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Withholds
from genarena.spec import Batch
from tests.first_stages import standing
from tests.small_world import OPTIONS, SETTINGS, SPEC, Drawn, Halves, some_samples

MODELS = [name for name in available("model") if not name.endswith("_paper")]
FEW = dataclasses.replace(SETTINGS, num_samples=3, num_test=3, batch_size=2)
FEW_EXAMPLES = {"ode_nll_nats": {"num_test": 2}, "ode_bits_per_dim": {"num_test": 2}}


@pytest.fixture(scope="module")
def data() -> Halves:
    module = Halves(SPEC)
    module.setup()
    return module


def fitted(name: str, data: Halves) -> GenerativeModel:
    """A model that has seen a batch of the small data set."""
    torch.manual_seed(0)
    model = build(standing(compose([f"model={name}", "data=digits", "data.spec.num_levels=16"])), "model")
    with torch.no_grad():
        model.train().observe(Batch(data.train.x[:32]))
        model.loss(Batch(data.train.x[:32]))
    if isinstance(model, Withholds):
        model.withhold(data.val.x)
    return model.eval()


def drawn(model: GenerativeModel) -> Tensor | None:
    """Samples under a fixed seed; None where the model refuses."""
    torch.manual_seed(1)
    try:
        with torch.no_grad():
            return model.sample(2)
    except RuntimeError:
        return None


@pytest.mark.parametrize("name", MODELS)
def test_a_nan_in_the_weights_never_becomes_a_valid_picture(name: str, data: Halves) -> None:
    """In one tensor it marks every sample, or does not reach them; in all of them no metric has a value."""
    model = fitted(name, data)
    weights = [value for value in model.state_dict().values() if value.is_floating_point()]
    sound = drawn(model)
    assert sound.dtype == torch.uint8
    for value in {id(value): value for value in (weights[:1] + weights[-1:])}.values():
        before = value.clone()
        value.fill_(math.nan)
        samples = drawn(model)
        value.copy_(before)
        if samples is not None and not torch.equal(samples, sound):  # a tensor that sampling needs
            assert samples.isnan().flatten(1).any(1).all()
    for value in weights:
        value.fill_(math.nan)
    chosen = ["nearest_neighbour_ratio", "sampling_seconds", "ode_nll_nats"]
    found = evaluate(model, data, chosen, FEW, FEW_EXAMPLES, progress=False)
    record = found.metrics["nearest_neighbour_ratio"]
    assert found.metrics["ode_nll_nats"]["value"] is None  # and the solver comes to an end
    if found.fake is None:  # the model refused to draw
        assert record["failed"]
    elif found.fake.is_floating_point():
        assert found.nonfinite_samples == found.metrics["sampling_seconds"]["nonfinite_samples"] == 3
        assert (record["value"], record["nonfinite_samples"]) == (None, 3)
        assert record["reason"] == "3 of 3 samples are not finite"
    else:  # no weight takes part in sampling
        assert torch.equal(drawn(model), sound)


def test_one_broken_sample_is_counted(data: Halves) -> None:
    """The block that holds it comes as floats, the others as levels."""
    blocks = list(some_samples().split(SETTINGS.batch_size))
    blocks[2] = blocks[2].float()
    blocks[2][40, 0, 3, 3] = math.inf
    model = Drawn(some_samples()).eval()
    model.sample = lambda num_samples, y=None: blocks.pop(0)
    found = evaluate(model, data, ["nearest_neighbour_ratio"], SETTINGS, progress=False)
    assert found.metrics["nearest_neighbour_ratio"]["reason"] == "1 of 300 samples are not finite"
    assert found.nonfinite_samples == 1
    assert found.fake.isfinite().flatten(1).all(1).sum() == 299


def broken(error: Exception) -> Callable:
    def compute(self: ArenaMetric) -> float:
        raise error

    return compute


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (np.linalg.LinAlgError("eigenvalues\ndid not converge"), "LinAlgError: eigenvalues"),
        (MemoryError(), "MemoryError"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_a_metric_that_fails_has_a_reason_and_the_others_their_values(
    error: Exception, reason: str, data: Halves, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(NearestNeighbourRatio, "compute", broken(error))
    model, chosen = Drawn(some_samples()).eval(), ["nearest_neighbour_ratio", "bits_per_dim"]
    metrics = evaluate(model, data, chosen, SETTINGS, OPTIONS, progress=False).metrics
    record = metrics["nearest_neighbour_ratio"]
    assert {key: record[key] for key in ("value", "reason", "failed")} == {
        "value": None,
        "reason": reason,
        "failed": True,
    }
    assert metrics["bits_per_dim"]["value"] > 0.0
    said = capfd.readouterr().err
    assert said == f"warning: metric nearest_neighbour_ratio has no value: {reason}\n"
    evaluate(model, data, chosen, SETTINGS, OPTIONS, progress=False, debug=True)
    assert "in compute" in capfd.readouterr().err


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
        Drawn(some_samples()).eval(), data, ["nearest_neighbour_ratio"], SETTINGS, progress=False
    ).metrics
    found = json.loads(json.dumps(metrics, allow_nan=False))["nearest_neighbour_ratio"]
    assert found["value"] > 0.0
    assert (found["nats"], found["deep"], found["ok"]) == ([None, 2.5], {"numpy": None, "3": [0, 1]}, [1, True])
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
    broken, sound = evaluate(Drawn(some_samples()).eval(), data, names, FEW, progress=False).metrics.values()
    assert broken["value"] is None and said in broken["reason"]
    assert sound["value"] > 0
