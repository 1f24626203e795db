"""Baselines with a density per label: quadratic discriminant analysis, labels that share nothing, and labels with few
examples."""

from types import SimpleNamespace

import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from torch import Tensor
from torch.distributions import MultivariateNormal

from genarena.build import build
from genarena.config import compose
from genarena.data.batches import Split
from genarena.data.digits import Digits
from genarena.errors import UserError
from genarena.likelihood import Likelihood
from genarena.metrics.generative_accuracy import GenerativeAccuracy
from genarena.models.base import GenerativeModel
from genarena.models.baseline.by_label import ByLabel
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.baseline.gmm import GMM
from genarena.spec import Batch, DataSpec
from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.closed_form import ClosedForm

DIMS, LABELS = 3, 3
MEANS = torch.tensor([[0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [-1.0, 1.5, 3.0]])
ROOTS = torch.tensor(
    [
        [[1.0, 0.0, 0.0], [0.5, 0.8, 0.0], [0.0, 0.3, 1.2]],
        [[0.4, 0.0, 0.0], [-0.6, 1.0, 0.0], [0.2, 0.0, 0.6]],
        [[1.5, 0.0, 0.0], [0.0, 0.5, 0.0], [-0.9, 0.4, 0.7]],
    ]
)
POINTS = DataSpec((DIMS,), num_classes=LABELS, condition="label")
FEW = {Gaussian: {}, GMM: {"num_components": 2, "covariance": "full"}}


def world(num: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A Gaussian per label, whose examples are not equally many."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), num, replacement=True, generator=generator)
    z = torch.randn(num, DIMS, 1, generator=generator)
    return MEANS[y] + (ROOTS[y] @ z).squeeze(2), y


def fitted(model: GenerativeModel, x: Tensor, y: Tensor | None, size: int = 100) -> GenerativeModel:
    torch.manual_seed(0)
    for start in range(0, len(x), size):
        model.observe(Batch(x[start : start + size], None if y is None else y[start : start + size]))
    return model.eval()


def under_every_label(model: GenerativeModel, x: Tensor) -> Tensor:
    """log p(x | y), (N, K) float64 nats."""
    labels = range(model.spec.condition.size)
    return torch.stack([model.log_prob(x, torch.full((len(x),), label)) for label in labels], 1).double()


def test_labels_by_bayes_are_those_of_quadratic_discriminant_analysis() -> None:
    x, y = world(900)
    model = fitted(Gaussian(POINTS, shrinkage=1e-9), x, y)
    other = QuadraticDiscriminantAnalysis(
        solver="eigen", covariance_estimator=EmpiricalCovariance(), priors=[1 / LABELS] * LABELS
    ).fit(x.double().numpy(), y.numpy())
    new, _ = world(400, seed=1)
    expected = torch.from_numpy(other.predict_log_proba(new.double().numpy()))
    torch.testing.assert_close(under_every_label(model, new).log_softmax(1), expected, rtol=1e-5, atol=1e-5)


def test_generative_accuracy_on_digits_is_that_of_the_formula() -> None:
    """By the normal densities of scipy's kind, with the shrunk covariance written out: S_y of the label's images alone."""
    spec = DataSpec((1, 8, 8), 17, 10, condition="label")
    data = Digits(spec)
    data.setup()
    x, y = data.train.x.flatten(1).double(), data.train.y
    model = fitted(Gaussian(spec), data.train.x, y)
    test, own = data.test.x[:], data.test.y
    scores = []
    for label in range(10):
        of_label = x[y == label]
        num, prior = len(of_label), 0.01 * 64
        scatter = (of_label - of_label.mean(0)).T @ (of_label - of_label.mean(0))
        average = (scatter.diagonal().mean() + 17**2 / 12) / (num + 1)
        covariance = (scatter + prior * average * torch.eye(64)) / (num + prior) + torch.eye(64) / 12
        density = MultivariateNormal(of_label.mean(0) + 0.5, covariance).log_prob(test.flatten(1) + 0.5)
        scores.append(density - covariance.inverse().trace() / 24)  # the bound of one draw of dequantisation noise
    expected = torch.stack(scores, 1)
    found = under_every_label(model, test)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)
    metric = GenerativeAccuracy()
    metric.update(found, own, model.likelihood, classifies=False)
    right = (expected.argmax(1) == own).double().mean().item()
    assert metric.compute() == pytest.approx(right) and right > 0.95


@pytest.mark.parametrize("kind", [Gaussian, GMM])
def test_the_density_of_a_label_is_fitted_to_its_examples_alone(kind: type[ByLabel]) -> None:
    """Bit by bit that of a model without labels that saw them in the same batches; each row is under its own label."""
    (x, y), plain = world(300), DataSpec((DIMS,))
    model = fitted(kind(POINTS, **FEW[kind]), x, y)
    torch.manual_seed(0)
    alone = [kind(plain, **FEW[kind]) for _ in range(LABELS)]
    for part, labels in zip(x.split(100), y.split(100), strict=True):
        for label in range(LABELS):
            alone[label].observe(Batch(part[labels == label]))
    expected = torch.stack([alone[label].log_prob(x[i : i + 1]).squeeze() for i, label in enumerate(y.tolist())])
    torch.testing.assert_close(model.log_prob(x, y), expected, rtol=1e-6, atol=1e-6)
    for label in range(LABELS):
        state, other = model.per_label[label].state_dict(), alone[label].state_dict()
        assert state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)
    assert model.likelihood is Likelihood.EXACT is alone[0].likelihood


@pytest.mark.parametrize("kind", [Gaussian, GMM])
def test_samples_follow_the_density_of_their_label(kind: type[ByLabel]) -> None:
    x, y = world(3000)
    model = fitted(kind(POINTS, **FEW[kind]), x, y)
    torch.manual_seed(0)
    asked = torch.arange(LABELS).repeat(6000)
    drawn = model.sample(len(asked), asked).double()
    for label in range(LABELS):
        own = drawn[asked == label]
        sums = own @ torch.ones(DIMS, dtype=torch.float64)
        density = model.per_label[label]
        weight, mean, spread = (
            density.components() if kind is GMM else (torch.ones(1), *(m[None] for m in density.moments()))
        )
        centre = weight.double() @ mean
        off = mean - centre
        covariance = torch.tensordot(weight.double(), spread + off[:, :, None] * off[:, None, :], 1)
        error = 3.5 * (covariance.diagonal() / len(own)).sqrt()  # of 3 labels x 3 dimensions
        assert ((own.mean(0) - centre).abs() < error).all()
        assert sums.var().item() == pytest.approx(covariance.sum().item(), rel=0.08)  # 3 sd of 6,000 are .055


@pytest.mark.parametrize("kind", [Gaussian, GMM])
@pytest.mark.parametrize("levels", [17, None])
def test_labels_with_one_example_or_none_have_a_density(kind: type[ByLabel], levels: int | None) -> None:
    """One without examples that of a model before training; one with an example that of a set of one."""
    spec = DataSpec((DIMS,), levels, 3, condition="label")
    x = torch.randint(17, (40, DIMS), generator=torch.Generator().manual_seed(0)).to(spec.dtype)
    y = torch.zeros(40, dtype=torch.long)
    y[0] = 2
    model, plain = fitted(kind(spec, **FEW[kind]), x, y), DataSpec((DIMS,), levels)
    for label, other in ((1, kind(plain, **FEW[kind]).eval()), (2, fitted(kind(plain, **FEW[kind]), x[:1], None))):
        given = torch.full((40,), label)
        torch.manual_seed(1)
        found = model.log_prob(x, given)
        torch.manual_seed(1)
        torch.testing.assert_close(found, other.log_prob(x))
        assert found.isfinite().all() and model.sample(40, given).float().isfinite().all()


@pytest.mark.parametrize("kind", [Gaussian, GMM])
def test_rows_with_holes_are_fitted_label_by_label(kind: type[ByLabel]) -> None:
    x, y = world(400)
    x = x.masked_fill(torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.3, torch.nan)
    holed = DataSpec((DIMS,), num_classes=LABELS, condition="label", missing="mcar")
    model = kind(holed, **FEW[kind])
    model.training_data(SimpleNamespace(training_split=Split(x, y)), torch.device("cpu"))
    fitted(model, x, y)
    found = model.log_prob(x, y)
    assert found.isfinite().all()
    if kind is Gaussian:
        for label in range(LABELS):
            alone = Gaussian(DataSpec((DIMS,), missing="mcar"))
            alone.training_data(SimpleNamespace(training_split=Split(x[y == label])), torch.device("cpu"))
            torch.testing.assert_close(found[y == label], alone.log_prob(x[y == label]))


@pytest.mark.parametrize("kind", [Gaussian, GMM])
def test_posterior_draws_are_of_the_density_of_their_label(kind: type[ByLabel]) -> None:
    x, y = world(300)
    model = fitted(kind(POINTS, **FEW[kind]), x, y)
    operator = Mask(torch.tensor([[True, False, True]]))

    def problem(condition: Tensor | None) -> Problem:
        return Problem(operator, operator(x[:6]), 0.1, Noise.of([(k,) for k in range(6)]), condition)

    drawn = ClosedForm().draw(model, problem(y[:6])).x
    assert len(y[:6].unique()) == LABELS
    for label in range(LABELS):
        alone = ClosedForm().draw(model.per_label[label], problem(None)).x
        torch.testing.assert_close(drawn[y[:6] == label], alone[y[:6] == label])


@pytest.mark.parametrize("name", ["gaussian", "gmm"])
def test_other_conditions_are_refused_in_one_line(name: str) -> None:
    node = compose([f"model={name}", "data=scenes", "data.condition=caption"]).model
    node["spec"]["condition"] = {"_target_": "genarena.spec.Condition", "kind": "caption", "size": 9, "shape": [4]}
    with pytest.raises(UserError, match=r"data.condition=caption: \w+ takes label") as told:
        build(node, "model")
    assert "\n" not in str(told.value)
    attributes = DataSpec((DIMS,), num_attributes=4, condition="attributes")
    with pytest.raises(ValueError, match="data.condition=attributes: Gaussian takes label$"):
        Gaussian(attributes)


def test_covariances_of_many_labels_that_are_too_large_are_refused() -> None:
    spec = DataSpec((3, 32, 32), 256, 10, condition="label")
    with pytest.raises(ValueError, match="those of 10 labels in 3,072 dimensions have more than 16,777,216 numbers"):
        Gaussian(spec)
    with pytest.raises(ValueError, match="20 components of 768 dimensions for each of 10 labels"):
        GMM(DataSpec((3, 16, 16), 256, 10, condition="label"), num_components=20, covariance="full")


def test_shares_of_labels_are_no_label() -> None:
    with pytest.raises(ValueError, match="Gaussian has a density per label, and none between labels"):
        Gaussian(POINTS).log_prob(torch.zeros(2, DIMS), torch.full((2, LABELS), 1 / 3))
