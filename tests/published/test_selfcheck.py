"""The self check holds, says what it compared, and notices a wrong number."""

import math

import pytest
import torch

from genarena.data.batches import Split
from genarena.data.cifar10 import CIFAR10
from genarena.evaluation.weights import FeatureSettings
from genarena.metrics import names
from genarena.published import likelihood_checks, quality_checks, selfcheck
from genarena.published.checks import Check, Missing

QUICK = [check for check in selfcheck.OFFLINE if check is not likelihood_checks.bounds_of_a_linear_gaussian_model]


@pytest.mark.parametrize("make", QUICK, ids=lambda make: make.__name__)
def test_everything_holds(make) -> None:
    checks = list(make())
    assert checks
    assert all(check.holds for check in checks), [check.text for check in checks]


def test_every_metric_is_checked() -> None:
    """A new metric needs a function of `published/*_checks.py` that names it with `@of`."""
    checked = {name for make in selfcheck.OFFLINE for name in make.metrics}
    assert checked == set(names())


@pytest.mark.slow
def test_bounds_hold() -> None:
    checks = list(likelihood_checks.bounds_of_a_linear_gaussian_model())
    assert all(check.holds for check in checks), [check.text for check in checks]


def test_a_check_knows_its_sides() -> None:
    assert Check("a", 1.0, "b", 1.05, 0.1).holds
    assert not Check("a", 1.0, "b", 1.2, 0.1).holds
    assert Check("a", -5.0, "b", 1.0, 0.1, one_sided=True).holds
    assert not Check("a", 1.2, "b", 1.0, 0.1, one_sided=True).holds
    assert not Check("a", math.nan, "b", 1.0, 0.1).holds
    assert not Check("a", math.nan, "b", 1.0, 0.1, one_sided=True).holds
    assert Check("a", 1.0, "b", 1.2, 0.1).text.startswith("WRONG")


def test_wrong_code_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A covariance without its last term, levels dequantised by half a bin, and masses that miss an edge."""
    monkeypatch.setattr(quality_checks, "frechet_distance", lambda m1, c1, m2, c2: float((m1 - m2) @ (m1 - m2)))
    assert not all(check.holds for check in quality_checks.frechet_of_known_gaussians())
    monkeypatch.setattr(likelihood_checks, "dequantise", lambda x, levels: (x + 0.5) / levels)
    assert not all(check.holds for check in likelihood_checks.dequantisation_bound())
    inner = likelihood_checks.discretised_logistic_log_prob
    monkeypatch.setattr(likelihood_checks, "discretised_logistic_log_prob", lambda x, *rest: inner(x[1:], *rest))
    assert not all(check.holds for check in likelihood_checks.discretised_logistic_masses())


def test_without_cifar10_it_says_what_is_missing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (absent,) = selfcheck.fid_of_cifar10(str(tmp_path), FeatureSettings())
    assert isinstance(absent, Missing) and absent.holds
    assert "needs CIFAR-10; there is no" in absent.text
    (tmp_path / "cifar-10-batches-py").mkdir()
    (partial,) = selfcheck.fid_of_cifar10(str(tmp_path), FeatureSettings())
    assert partial.holds and "needs CIFAR-10: " in partial.text and "is not there" in partial.text
    images = torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8)
    monkeypatch.setattr(CIFAR10, "load", lambda self: (Split(images), Split(images), Split(images)))
    monkeypatch.setattr(CIFAR10, "part", lambda self: "18of60000")
    (first_rows,) = selfcheck.fid_of_cifar10(str(tmp_path), FeatureSettings())
    assert first_rows.holds and "needs all of CIFAR-10" in first_rows.text
    monkeypatch.setattr(CIFAR10, "part", lambda self: None)
    monkeypatch.setattr(
        selfcheck, "score", lambda *_: {"fid": {"value": None, "reason": "no Inception weights: get them"}}
    )
    (unweighted,) = selfcheck.fid_of_cifar10(str(tmp_path), FeatureSettings())
    assert unweighted.holds and "no Inception weights: get them" in unweighted.text
    monkeypatch.setattr(selfcheck, "score", lambda *_: {"fid": {"value": 3.2}})
    (wrong,) = selfcheck.fid_of_cifar10(str(tmp_path), FeatureSettings())
    assert not wrong.holds and "WRONG" in wrong.text
