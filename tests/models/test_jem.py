"""JEM: the classifier and the energy are one function; its two gradients; chains have no labels, samples do."""

import pytest
import torch
import torch.nn.functional as F

from genarena.models.energy.jem import JEM
from genarena.models.energy.langevin import Langevin
from genarena.spec import Batch, DataSpec

POINTS = DataSpec((2,), num_classes=3, condition="label")


def model(**options: object) -> JEM:
    torch.manual_seed(0)
    return JEM(POINTS, hidden_channels=2, buffer_size=32, langevin_steps=1, data_noise=0.0, **options)


def test_log_p_x_y_less_log_p_x_is_the_log_softmax_of_the_classifier() -> None:
    """log p(x, y) - log p(x) = f(x)[y] - logsumexp f(x): both densities have one constant, and the reference cancels."""
    jem, x = model().eval(), torch.randn(7, 2)
    for label in range(3):
        y = torch.full((7,), label)
        conditional = jem.log_density(x, y) - jem.log_density(x)
        torch.testing.assert_close(conditional, jem.logits(x).log_softmax(1)[:, label], atol=1e-6, rtol=0)


def test_the_energy_is_minus_the_logsumexp_of_the_logits_plus_the_reference() -> None:
    jem, x = model(temperature=0.5).eval(), torch.randn(7, 2)
    torch.testing.assert_close(jem.energy(x), -jem.logits(x).logsumexp(1) / 0.5 + jem.reference.energy(x))


def test_p_of_x_is_the_sum_over_labels() -> None:
    jem, x = model().eval(), torch.randn(7, 2)
    joint = torch.stack([jem.log_density(x, torch.full((7,), label)) for label in range(3)])
    torch.testing.assert_close(joint.logsumexp(0), jem.log_density(x))


def test_the_loss_is_contrastive_divergence_and_cross_entropy() -> None:
    jem, x, y = (
        model(energy_penalty=0.0, max_gap=1e9, classifier_weight=3.0).eval(),
        torch.randn(6, 2),
        torch.arange(6) % 3,
    )
    chains = torch.randn(6, 2)
    jem.advance_chains = lambda num, given: (chains, given)
    terms = jem.loss(Batch(x, y))
    gap = jem.logits(chains).logsumexp(1).mean() - jem.logits(x).logsumexp(1).mean()
    torch.testing.assert_close(terms["loss"], gap + 3.0 * F.cross_entropy(jem.logits(x), y))
    assert terms["accuracy"] == (jem.logits(x).argmax(1) == y).float().mean()
    assert jem.validate(Batch(x, y))["accuracy"] == terms["accuracy"]


def test_labels_of_other_examples_are_refused_in_training_too() -> None:
    for y in (torch.zeros(1, dtype=torch.long), torch.zeros(3, dtype=torch.long)):
        with pytest.raises(ValueError, match="expected label"):
            model().loss(Batch(torch.randn(2, 2), y))


def test_samples_follow_the_density_of_their_label() -> None:
    """f = -|x - m_y|^2 / 2 under a wide reference: p(x | y) is nearly N(m_y, I), which chains reach."""
    means, jem = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 4.0]]), model(step_size=0.1, drift_clamp=None).eval()
    jem.reference.variance.fill_(1e6)
    jem.net.features = torch.nn.Identity()
    jem.net.logits = lambda v: -0.5 * (v[:, None] - means).square().sum(2)
    jem.use(Langevin(steps=400))
    jem.reference.sample = lambda num: torch.zeros(num, 2)
    y = torch.arange(600) % 3
    x = jem.sample(600, y)
    for label in range(3):
        part = x[y == label]
        assert (part.mean(0) - means[label]).abs().max() < 4.0 / 200**0.5
        assert (part - means[label]).square().mean().item() == pytest.approx(
            1.0 / 0.95, rel=0.2
        )  # 4 s.e. of 400 squares


def test_it_is_refused_without_labels() -> None:
    with pytest.raises(ValueError, match="data.condition=label"):
        JEM(DataSpec((2,), num_classes=3))
