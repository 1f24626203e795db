"""Rates, keys, and what being hidden depends on."""

import pytest
import torch

from genarena.data.mechanisms import TOLERANCE, fitted

ALL = ("mcar", "mar", "mnar_self", "mnar_quantile", "not_miwae")


def table(num: int = 4000, dims: int = 6) -> torch.Tensor:
    """Independent skewed columns, so that what an entry's holes depend on is its own."""
    return torch.randn(num, dims, generator=torch.Generator().manual_seed(0)).exp() * 3.0 + 1.0


def association(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1].item()


@pytest.mark.parametrize("name", ["mcar", "mar", "mnar_self"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_rate_is_met(name: str, rate: float) -> None:
    x = table()
    mechanism = fitted(name, rate, x, (0,))
    chances = mechanism.probabilities(x).mean(0)
    free = chances == 0
    assert free.sum() == (1 if name == "mar" else 0)  # 30% of six columns
    assert (chances[~free] - rate).abs().max() < TOLERANCE
    found = mechanism.hidden(x, "train").double().mean(0)
    spread = (rate * (1 - rate) / len(x)) ** 0.5
    lost = rate**6 if name == "mcar" else 0.05  # rows that keep one entry
    assert ((found - chances).abs() < 4 * spread + lost).all()


def test_rates_of_the_mechanisms_that_have_their_own() -> None:
    x = table()
    assert abs(fitted("mnar_quantile", 0.3, x, (0,)).hidden(x, "train").double().mean().item() - 0.1875) < 0.01
    hidden = fitted("not_miwae", 0.3, x, (0,)).hidden(x, "train")
    assert torch.equal(hidden, (x > x.mean(0)) & (torch.arange(6) < 3))


@pytest.mark.parametrize("name", ALL)
def test_what_holes_depend_on(name: str) -> None:
    """On independent columns: MCAR on nothing, MAR on the drivers and not on the hidden value, MNAR on the hidden
    value."""
    x = table()
    mechanism = fitted(name, 0.3, x, (1,))
    hidden, bound = mechanism.hidden(x, "train"), 4 / len(x) ** 0.5
    for d in hidden.any(0).nonzero().flatten().tolist():
        own = association(hidden[:, d], x[:, d].log())
        others = [abs(association(hidden[:, d], x[:, e].log())) for e in range(6) if e != d]
        if name in ("mcar", "mar"):
            assert abs(own) < bound
        else:
            assert own > 0.2 and max(others) < bound
        assert (max(others) > 2 * bound) == (name == "mar")


def test_mar_is_random_given_what_is_observed() -> None:
    """With dependent columns, the probabilities do not change with hidden values."""
    x = table(500)
    mechanism = fitted("mar", 0.4, x, (2,))
    drivers = (mechanism.probabilities(x) == 0).all(0)
    assert drivers.sum() == 1
    other = torch.where(drivers, x, x + torch.rand_like(x))
    assert torch.equal(mechanism.probabilities(x), mechanism.probabilities(other))


@pytest.mark.parametrize("name", ALL)
def test_every_row_and_column_keeps_an_entry(name: str) -> None:
    x = table(40, 3)
    hidden = fitted(name, 0.95, x, (3,)).hidden(x, "train")
    assert hidden.any() and not hidden.all(0).any() and not hidden.all(1).any()


def test_holes_belong_to_rows_keys_and_splits() -> None:
    x = table(50)
    mechanism = fitted("mcar", 0.5, x, ("iris", 0))
    hidden, order = mechanism.hidden(x, "test"), torch.randperm(50)
    assert torch.equal(mechanism.hidden(x[order], "test"), hidden[order])
    assert torch.equal(mechanism.hidden(x[:7], "test"), hidden[:7])
    assert not torch.equal(mechanism.hidden(x, "train"), hidden)
    assert not torch.equal(fitted("mcar", 0.5, x, ("iris", 1)).hidden(x, "test"), hidden)
    assert torch.equal(fitted("mcar", 0.5, x, ("iris", 0)).hidden(x, "test"), hidden)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two columns"):
        fitted("mcar", 0.5, table(9, 1), (0,))
    for rate in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            fitted("mcar", rate, table(9), (0,))
