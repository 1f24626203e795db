"""Counts for several k from one pass, and the standard errors of the metrics that are made of them."""

import pytest
import torch
from torch import Tensor

from genarena.evaluation.asked import load_metric
from genarena.metrics.base import Unavailable
from genarena.options.settings import Settings
from genarena.statistics import manifolds
from genarena.statistics.manifolds import Manifolds, Reference

METRICS = ("precision", "recall", "density", "coverage")


def normal(n: int, features: int, seed: int) -> Tensor:
    return torch.randn(n, features, generator=torch.Generator().manual_seed(seed))


def measured(name: str, compared: Manifolds, reference: Reference | None = None, settings: Settings | None = None):
    metric = load_metric(name)()
    metric.settings = settings or metric.settings
    metric.update(compared, reference or Reference(None, reason="there is none"))
    value = metric.compute()
    return value, metric.record() | {"value": value}


def test_one_pass_for_the_usual_k_and_another_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    original = manifolds.crossed
    monkeypatch.setattr(manifolds, "crossed", lambda *sets, **k: passes.append(1) or original(*sets, **k))
    compared = Manifolds(normal(80, 3, 0), normal(80, 3, 1))
    for name in METRICS:
        measured_once = load_metric(name)()
        measured_once.update(compared, Reference(None))
        measured_once.compute()
    assert len(passes) == 1
    seven = Manifolds(compared.real, compared.fake).of(7)
    assert torch.equal(compared.of(7).real.balls, seven.real.balls)
    assert len(passes) == 3
    compared.of(7), compared.of(3), compared.of(5)
    assert len(passes) == 3
    assert bool((compared.of(7).real.balls >= compared.of(5).real.balls).all())


def test_what_is_kept_is_the_real_side_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf: dict[str, object] = {}

    def kept(name: str, make) -> object:
        if name not in shelf:
            shelf[name] = make()
        return shelf[name]

    real, fake = normal(60, 3, 0), normal(60, 3, 1)
    plain = Manifolds(real, fake).of(3).fake.balls
    assert torch.equal(Manifolds(real, fake, kept=kept).of(3).fake.balls, plain)
    assert list(shelf) == ["radii-3-5"]
    searched = []
    original = manifolds.squared_radii
    monkeypatch.setattr(manifolds, "squared_radii", lambda x, *k: searched.append(x) or original(x, *k))
    assert torch.equal(Manifolds(real, fake, kept=kept).of(3).fake.balls, plain)
    assert [x is fake for x in searched] == [True]
    Manifolds(real, fake, kept=kept, counts_kept=kept).of(3)
    searched.clear()
    assert torch.equal(Manifolds(real, fake, kept=kept, counts_kept=kept).of(3).fake.balls, plain)
    assert searched == []


def test_real_data_stand_beside_the_value() -> None:
    real, fake, other = normal(200, 4, 0), 0.5 * normal(200, 4, 1), normal(200, 4, 2)
    compared, reference = Manifolds(real, fake), Manifolds(real, other)
    for name in METRICS:
        record = measured(name, compared, Reference(reference, "train"))[1]
        assert record["real"] == measured(name, reference)[0] != record["value"]
        assert (record["real_from"], record["n"], record["n_real"]) == ("train", 200, 200)
        absent = measured(name, compared)[1]
        assert (absent["real"], absent["real_reason"]) == (None, "there is none")
    with pytest.raises(Unavailable, match="needs 6 examples of each kind; there are 5"):
        measured("density", Manifolds(real, fake[:5]))


@pytest.mark.parametrize("features, scale, shift", [(2, 1.0, 0.0), (8, 1.0, 0.5), (8, 1.3, 0.0)])
def test_the_standard_error_is_that_of_repeated_draws(features: int, scale: float, shift: float) -> None:
    """Both sets drawn anew 60 times: the stated error is within 0.7 and 1.5 of the standard deviation, which 60 draws give to a
    tenth. Without the noise of the balls, shares and means of n values would claim as little as 0.3 of it."""
    values, errors = {name: [] for name in METRICS}, {name: [] for name in METRICS}
    for draw in range(60):
        compared = Manifolds(normal(250, features, 2 * draw), scale * normal(250, features, 2 * draw + 1) + shift)
        for name in METRICS:
            metric = load_metric(name)()
            metric.update(compared, Reference(None))
            values[name].append(metric.compute())
            if draw < 8:
                errors[name].append(metric.record()["standard_error"])
    for name in METRICS:
        stated = torch.tensor(errors[name]).square().mean().sqrt()
        assert 0.7 < (stated / torch.tensor(values[name]).std()).item() < 1.5, name
