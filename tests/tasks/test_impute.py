"""Imputation of a world that is known, its protocol, and its refusals."""

import pytest
import torch

from genarena.data.batches import Split
from genarena.data.breast_cancer import BreastCancer
from genarena.data.table_set import TableSet
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.vae.vae import VAE
from genarena.spec import Batch, DataSpec
from genarena.tasks.impute import Impute
from genarena.tasks.imputing.completed import lanes_at_once, problem_of, with_model
from genarena.tasks.imputing.rows import Rows, Standard
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws
from genarena.tasks.posterior.closed_form import ClosedForm
from genarena.tasks.posterior.importance_resampling import ImportanceResampling
from genarena.tasks.posterior.metropolis_within_gibbs import MetropolisWithinGibbs
from genarena.tasks.posterior.one_step import OneStep
from tests.tasks.world import World


class Gaussians(TableSet):
    """1,000 training, 50 validation and 400 test rows of an AR(1) Gaussian, times `scale`; the target is their sum."""

    name = "gaussians"
    scale: float = 1.0

    def load(self) -> tuple[Split, Split, Split]:
        x = self.scale * World((5,), "ar1").draw(1450).float()
        return Split(x[:1000]), Split(x[1000:1050]), Split(x[1050:])

    def targets(self, part: str) -> torch.Tensor:
        return getattr(self, part).x.double().sum(1)


def data(**options: object) -> Gaussians:
    made = Gaussians(DataSpec((5,), missing=options.get("missing")), **options)
    made.setup()
    return made


def gaussian(found: Gaussians) -> Gaussian:
    model = Gaussian(found.spec, shrinkage=1e-6)
    model.observe(Batch(found.train.x))
    return model


@pytest.fixture(scope="module")
def solved() -> dict:
    found = data()
    task = Impute(column="complete", num_train=300)
    return vars(task.solve(gaussian(found), ClosedForm(), found, "mcar-0.3-complete"))


def test_the_true_model_is_calibrated_and_ranks_first(solved: dict) -> None:
    own = {name: record["value"] for name, record in solved["lines"][""].metrics.items()}
    floors = {name: line.metrics for name, line in solved["floors"].items()}
    assert set(floors) == {
        *("mean", "hot_deck", "knn_5", "knn_10", "ice", "mice", "miss_forest", "gaussian_em"),
        *("complete rows", "rows with holes"),
    }
    assert solved["facts"]["sigma"] == 0.0 and solved["facts"]["left_out"] == []
    assert solved["pictures"]["filled.png"].shape[:2] == (1, 3) and solved["shown"]["filled.png"].is_plot
    for name, metrics in floors.items():
        if "crps" in metrics:
            slack = {"gaussian_em": 0.98, "mice": 0.97}.get(name, 1.15)
            assert metrics["crps"]["value"] > slack * own["crps"], name
    assert own["coverage"] == pytest.approx(0.9, abs=0.03) and own["spread_skill"] == pytest.approx(1.0, abs=0.08)
    assert floors["mean"]["rmse"]["value"] == pytest.approx(1.0, abs=0.16)  # three standard errors of 300 and 400 rows
    assert floors["hot_deck"]["rmse_draw"]["value"] == pytest.approx(2**0.5, abs=0.1)
    assert floors["complete rows"]["downstream_linear"]["value"] > 0.999  # the target is a sum of columns
    assert floors["mean"]["downstream_linear"]["value"] < own["downstream_linear"] < 0.999
    assert own["sliced_w2"] < floors["mean"]["sliced_w2"]["value"]


def test_units_change_nothing() -> None:
    task, values = Impute(column="complete", num_train=100, num_rows=60), []
    for scale in (1.0, 8.0):
        found = data(scale=scale)
        train, test, standard = task.inputs(found)
        values.append((standard(train.x), standard(test.x)))
    assert torch.allclose(values[0][0], values[1][0], atol=1e-6) and torch.allclose(
        values[0][1], values[1][1], atol=1e-6
    )


def test_training_rows_have_holes_in_the_inductive_column_only() -> None:
    found = data(missing="mcar", missing_rate=0.4)
    train, test, standard = Impute(rate=0.4).inputs(found)
    assert torch.equal(train.holed.isnan(), train.hidden) and 0.3 < train.hidden.double().mean() < 0.42
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(train.hidden, found.training_split.x.isnan()[order])
    assert standard.mean.abs().max() < 1e-5  # the set is standardised by the same entries
    train, again, _ = Impute(rate=0.4, column="complete").inputs(data())
    assert not train.hidden.any() and torch.equal(again.hidden, test.hidden)


def test_a_sampler_that_needs_noise_gets_a_little() -> None:
    class Noisy(ClosedForm):
        def refusal(self, operator: object, sigma: float) -> str:
            return "" if sigma else "needs noise"

    found = data()
    model = gaussian(found)
    _, test, standard = Impute(column="complete").inputs(found)
    assert problem_of(Noisy(), model, test, standard, 0, 2).sigma == pytest.approx(1e-3, rel=0.1)
    with pytest.raises(ValueError, match="algorithm=one_step: removes noise only"):
        problem_of(OneStep(), model, test, standard, 0, 2)


def test_large_images_are_completed_a_few_at_once() -> None:
    """A table of all levels of their entries has at most 2^25 numbers: 256 MiB."""
    assert lanes_at_once(DataSpec((13,))) == lanes_at_once(DataSpec((1, 8, 8), 17)) == 1024
    assert lanes_at_once(DataSpec((3, 32, 32), 256)) == 42
    assert lanes_at_once(DataSpec((3, 512, 512), 256)) == 1


def test_what_diverged_is_counted_and_filled_by_the_mean() -> None:
    class Diverging(ClosedForm):
        def draw(self, model: object, problem: Problem) -> Draws:
            x = super().draw(model, problem).x
            x[0], x[7] = torch.nan, 1e9  # of rows 0 and 3
            return Draws(x)

    found = data()
    _, test, standard = Impute(column="complete").inputs(found)
    rows = Rows(test.x[:9], torch.ones(9, 5, dtype=torch.bool).scatter(1, torch.zeros(9, 1, dtype=torch.long), False))
    made = with_model(Diverging(), gaussian(found), rows, standard, 0, 2)
    assert made.failures == 2 and made.fill.isfinite().all()
    assert (
        made.draws[0, 0, 1:].abs().max() == 0 == made.draws[1, 3, 1:].abs().max()
        and made.draws[1, 0, 1:].abs().min() > 0
    )


def test_an_encoder_of_rows_with_holes_is_used_as_such() -> None:
    holed, plain = (VAE(DataSpec((3,), missing=missing), latent_dim=2, hidden=8) for missing in ("mcar", None))
    assert Impute().algorithm_for(holed) == ImportanceResampling()
    assert isinstance(Impute().algorithm_for(plain), MetropolisWithinGibbs)
    chosen = MetropolisWithinGibbs(num_steps=3)
    assert Impute(algorithm=chosen).algorithm_for(holed) is chosen


def test_columns_without_spread_are_not_scored() -> None:
    train = torch.tensor([[1.0, 2.0], [1.0, 3.0], [torch.nan, 4.0]], dtype=torch.float64)
    standard = Standard.of(train)
    assert standard.varies.tolist() == [False, True] and standard.scale[0] == 1.0


def test_refusals() -> None:
    for options, said in (
        ({"num_draws": 1}, "num_draws=1: expected 2 to 10"),
        ({"rate": 1.0}, "rate=1: expected a number between 0 and 1"),
        ({"mechanism": "mcr"}, "mechanism=mcr: expected mcar, mar"),
        ({"column": "both"}, "column=both: expected inductive, complete"),
    ):
        with pytest.raises(ValueError, match=said):
            Impute(**options)
    with pytest.raises(
        ValueError, match="trained with complete rows; train with data.missing=mcar, or use column=complete"
    ):
        Impute(column="inductive").check(DataSpec((3,)))
    with pytest.raises(ValueError, match="mechanism=mcar: the run was trained with data.missing=mar"):
        Impute().check(DataSpec((3,), missing="mar"))
    with pytest.raises(ValueError, match="trained with data.missing=mar; use column=inductive"):
        Impute(column="complete").check(DataSpec((3,), missing="mar"))
    with pytest.raises(ValueError, match="needs vectors or images of at least two entries"):
        Impute(column="complete").check(DataSpec((1,)))
    with pytest.raises(ValueError, match=r"rate=0.5 seed=0: the run was trained with data.missing_rate=0.3"):
        Impute(rate=0.5).inputs(data(missing="mcar"))
    assert Impute(mechanism="not_miwae", rate=0.5).settings("")["rate"] is None
    assert Impute().cases(DataSpec((3,), missing="mcar")) == ("mcar-0.3-inductive",)
    assert Impute().cases(DataSpec((3,))) == ("mcar-0.3-complete",)


def test_rows_of_one_label_have_nothing_to_predict() -> None:
    for only, wanted in ((1, False), (None, True)):
        found = BreastCancer(DataSpec((30,), num_classes=2), only=only)
        found.setup()
        train, test, _ = Impute(num_rows=5, num_train=20).inputs(found)
        assert (train.targets is not None) == (test.targets is not None) == wanted
