"""The linear probe in worlds with known answers, and what it may not depend on."""

import math

import pytest
import torch

from genarena.statistics import linear_probe
from genarena.statistics.linear_probe import chosen, fitted


def normal(num: int, features: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, features, generator=torch.Generator().manual_seed(seed))


def three_classes(num: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping Gaussians in 4 dimensions around the first three axes."""
    y = torch.arange(num) % 3
    return normal(num, 4, seed) + 1.5 * torch.eye(4)[y], y


def test_two_gaussians_are_told_apart_as_often_as_bayes_rule_does() -> None:
    distance, num = 1.7, 8_000
    y = torch.arange(num) % 2
    train, test = (normal(num, 3, seed) + distance * y[:, None] * torch.tensor([0.6, 0.8, 0.0]) for seed in (0, 1))
    best = 0.5 * math.erfc(-distance / 2.0 / math.sqrt(2.0))  # Phi(d / 2)
    found = chosen((train, y), (test[:2000], y[:2000])).accuracy(test, y)
    assert abs(found - best) < 3.0 * math.sqrt(best * (1.0 - best) / num)


def test_the_gradient_of_the_penalised_likelihood_vanishes() -> None:
    z, y = three_classes(300, 0)
    probe = fitted(z.double(), y, c=0.5)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    loss = 0.5 * weight.square().sum()
    loss = loss + 0.5 * torch.nn.functional.cross_entropy(z.double() @ weight.T + bias, y, reduction="sum")
    slopes = torch.autograd.grad(loss, (weight, bias))
    assert max(slope.abs().max() for slope in slopes) < 0.02 and probe.converged  # of a loss of about 120 nats


def test_two_labels_give_the_same_predictions_as_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    z, y = three_classes(400, 2)
    z, y = z[y < 2], 5 + 2 * y[y < 2]
    own, other = fitted(z, y), LogisticRegression(max_iter=1000).fit(z.numpy(), y.numpy())
    assert own.predict(z).tolist() == other.predict(z.numpy()).tolist() and set(own.predict(z).tolist()) == {5, 7}


def test_without_a_penalty_an_invertible_linear_map_changes_nothing() -> None:
    (train, y), (test, _) = three_classes(600, 0), three_classes(3000, 1)
    mapped = normal(4, 4, 7) + torch.diag(torch.tensor([9.0, 1.0, 0.5, 2.0]))
    plain, changed = fitted(train, y, 1e5), fitted(train @ mapped, y, 1e5)
    agree = (plain.predict(test) == changed.predict(test @ mapped)).double().mean()
    assert agree >= 1.0 - 1e-3
    strong = fitted(train, y, 1e-4), fitted(train @ mapped, y, 1e-4)
    assert (strong[0].predict(test) == strong[1].predict(test @ mapped)).double().mean() < 0.99


def test_the_penalty_is_chosen_on_validation_examples() -> None:
    z, y = three_classes(60, 0)
    noisy = torch.cat([z, normal(60, 300, 3)], 1)
    val, wanted = three_classes(600, 1)
    val = torch.cat([val, normal(600, 300, 4)], 1)
    scores = [fitted(noisy, y, c).cross_entropy(val, wanted) for c in linear_probe.CS]
    found = chosen((noisy, y), (val, wanted))
    assert found.cross_entropy(val, wanted) == min(scores)
    assert found.c == linear_probe.CS[scores.index(min(scores))] and 1e-4 < found.c < 1e2


def test_cross_entropy_is_that_of_torch_over_the_labels_that_the_probe_has_seen() -> None:
    z, y = three_classes(90, 0)
    probe = fitted(z, 2 * y)  # labels 0, 2 and 4
    expected = torch.nn.functional.cross_entropy(z @ probe.weight.T + probe.bias, y)
    unknown = torch.tensor([1, 5])
    assert probe.cross_entropy(z, 2 * y) == pytest.approx(expected.item(), rel=1e-5)
    assert probe.cross_entropy(torch.cat([z, z[:2]]), torch.cat([2 * y, unknown])) == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_the_order_of_rows_does_not_matter() -> None:
    (train, y), (test, _) = three_classes(300, 0), three_classes(500, 1)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(5))
    assert torch.equal(fitted(train, y).predict(test), fitted(train[order], y[order]).predict(test))


def test_one_label_is_refused() -> None:
    with pytest.raises(ValueError, match="needs two labels"):
        fitted(torch.randn(5, 2), torch.zeros(5, dtype=torch.long))
