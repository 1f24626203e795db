"""What every classical method promises, what each is good for, and the floors of a table of published protocols."""

import math

import pytest
import torch
from sklearn import datasets

from genarena.data.mechanisms import fitted
from genarena.statistics import gaussian_em
from genarena.tasks.imputing.base import Imputer
from genarena.tasks.imputing.em import GaussianEM
from genarena.tasks.imputing.hot_deck import HotDeck
from genarena.tasks.imputing.ice import ICE
from genarena.tasks.imputing.knn import KNN5, KNN10
from genarena.tasks.imputing.mean import Mean
from genarena.tasks.imputing.mice import MICE
from genarena.tasks.imputing.miss_forest import MissForest

ALL = (Mean, HotDeck, KNN5, KNN10, ICE, MICE, MissForest, GaussianEM)


def table(num: int, seed: int = 0, rate: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of an AR(1) Gaussian of four columns, complete and with holes."""
    x = torch.randn(num, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for d in range(1, 4):
        x[:, d] = 0.9 * x[:, d - 1] + math.sqrt(1 - 0.81) * x[:, d]
    return x, x.masked_fill(fitted("mcar", rate, x, (seed,)).hidden(x, "train"), torch.nan)


@pytest.fixture(scope="module")
def train() -> torch.Tensor:
    return table(150)[1]


@pytest.fixture(scope="module", params=ALL, ids=lambda kind: kind.name)
def imputer(request: pytest.FixtureRequest, train: torch.Tensor) -> Imputer:
    return request.param(train, 0)


def test_new_rows_are_filled_one_by_one(imputer: Imputer) -> None:
    """Also a row with holes where training had none, and the same numbers alone as in a batch."""
    _, x = table(12, seed=1, rate=0.6)
    filled, drawn = imputer.fill(x), imputer.draws(x, 3)
    assert filled.isfinite().all() and torch.equal(filled[~x.isnan()], x[~x.isnan()])
    assert torch.allclose(imputer.fill(x[4:5]), filled[4:5], atol=1e-10)
    if drawn is not None:
        assert drawn.shape == (3, 12, 4) and (drawn[:, ~x.isnan()] == x[~x.isnan()]).all()
        assert torch.allclose(imputer.draws(x[4:5], 3), drawn[:, 4:5], atol=1e-10)
        assert (drawn[0] - drawn[1])[x.isnan()].abs().min() > 0 and torch.equal(imputer.draws(x, 3), drawn)


def test_the_estimate_is_about_the_conditional_mean(imputer: Imputer) -> None:
    """Squared distance to the exact conditional mean, over that of the column mean."""
    _, x = table(300, seed=2)
    covariance = 0.9 ** (torch.arange(4)[:, None] - torch.arange(4)).abs().double()
    exact = gaussian_em.conditional(x, torch.zeros(4, dtype=torch.float64), covariance).mean
    hidden = x.isnan()
    share = ((imputer.fill(x) - exact)[hidden].square().mean() / exact[hidden].square().mean()).item()
    worst = {
        "mean": (0.9, 1.1),
        "hot_deck": (0.9, 1.1),
        "gaussian_em": (0.0, 0.02),
        "mice": (0.0, 0.06),
        "ice": (0.0, 0.06),
    }
    low, high = worst.get(imputer.name, (0.0, 0.25))
    assert low <= share <= high


def test_draws_have_the_conditional_spread(imputer: Imputer) -> None:
    _, x = table(300, seed=2)
    drawn = imputer.draws(x, 10)
    if drawn is None:
        return
    covariance = 0.9 ** (torch.arange(4)[:, None] - torch.arange(4)).abs().double()
    exact = gaussian_em.conditional(x, torch.zeros(4, dtype=torch.float64), covariance)
    hidden = x.isnan()
    expected = 1.0 if imputer.name == "hot_deck" else exact.covariance.diagonal(dim1=1, dim2=2)[hidden].mean().item()
    assert drawn.var(0)[hidden].mean().item() == pytest.approx(expected, rel=0.15)


def test_forests_follow_what_is_not_linear() -> None:
    x = torch.linspace(-2, 2, 200, dtype=torch.float64)
    rows = torch.stack([x, x.square() - x.square().mean()], 1)
    train = rows.clone()
    train[::3, 1] = torch.nan
    filled = {kind.name: (kind(train).fill(train)[::3, 1] - rows[::3, 1]).abs().mean() for kind in (ICE, MissForest)}
    assert filled["miss_forest"] < 0.1 and filled["ice"] > 0.8


def test_mice_has_as_many_completions_as_chains(train: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="num_draws=11: mice has 10 chains"):
        MICE(train).draws(train, 11)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("diabetes", Mean, (0.99, 1.00)),
        ("diabetes", KNN10, (0.847, 0.941)),
        ("diabetes", GaussianEM, (0.708, 0.791)),
        ("wine", KNN5, (0.807, 0.910)),
        ("wine", GaussianEM, (0.790, 0.840)),
        ("iris", GaussianEM, (0.580, 0.638)),
        ("breast_cancer", KNN5, (0.633, 0.754)),
        ("breast_cancer", GaussianEM, (0.410, 0.478)),
    ],
)
def test_floors_of_the_usual_protocol(name: str, kind: type[Imputer], expected: tuple[float, float]) -> None:
    """MCAR of the whole set, standardised with complete data, filled where it was fitted (transductive): RMSE over
    all hidden entries, mean of three seeds; .06 is the largest standard deviation over seeds of these cells."""
    x = torch.from_numpy(getattr(datasets, f"load_{name}")().data).double()
    x = (x - x.mean(0)) / x.std(0, correction=0)
    for rate, wanted in zip((0.3, 0.5), expected, strict=True):
        found = []
        for seed in range(3):
            hidden = fitted("mcar", rate, x, (name, seed)).hidden(x, "train")
            train = x.masked_fill(hidden, torch.nan)
            found.append((kind(train, seed).fill(train) - x)[hidden].square().mean().sqrt())
        assert torch.stack(found).mean().item() == pytest.approx(wanted, abs=0.06)
