"""Penalties by hand, through the second derivative, and in the games of Gaussians and of Dirac whose ends are known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genarena.models.gan.objectives import wasserstein_critic
from genarena.models.gan.penalties import input_gradients, r1, r2, two_sided

WEIGHT = torch.tensor([[1.0, -2.0, 2.0]])  # of norm 3


def linear(weight: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: (x @ weight.T).squeeze(1) + 5.0


def test_penalties_of_a_linear_critic_by_hand() -> None:
    real, fake = torch.randn(7, 3), torch.randn(7, 3)
    assert two_sided(linear(WEIGHT), real, fake).item() == pytest.approx((3.0 - 1.0) ** 2, rel=1e-5)
    assert two_sided(linear(WEIGHT / 6.0), real, fake).item() == pytest.approx((0.5 - 1.0) ** 2, rel=1e-5)
    assert r1(linear(WEIGHT), real).item() == pytest.approx(9.0 / 2.0)
    assert r2(linear(WEIGHT), fake).item() == pytest.approx(9.0 / 2.0)


def test_penalties_of_a_quadratic_critic_are_means_over_their_points() -> None:
    """D(x) = |x|^2 / 2 has the gradient x: R1 is E|x|^2 / 2, and between x = a and G = b, |grad| = |b + e (a - b)|."""
    real, fake = torch.full((40_000, 1, 2, 2), 3.0), torch.full((40_000, 1, 2, 2), 1.0)

    def critic(x: Tensor) -> Tensor:
        return 0.5 * x.square().flatten(1).sum(1)

    assert r1(critic, real).item() == pytest.approx(36.0 / 2.0)
    assert r2(critic, fake).item() == pytest.approx(4.0 / 2.0)
    # |grad| - 1 = 2 (1 + 2 e) - 1 = 1 + 4 e: the mean square is 1 + 4 + 16 / 3
    assert two_sided(critic, real, fake).item() == pytest.approx(31.0 / 3.0, rel=0.02)


@pytest.mark.parametrize("penalty", [two_sided, lambda d, real, fake: r1(d, real), lambda d, real, fake: r2(d, fake)])
def test_the_gradient_reaches_the_critic_and_is_that_of_finite_differences(penalty: Callable) -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0))
    real, weight, step = torch.randn(5, 3), critic[0].weight, 1e-2
    fake = torch.randn(5, 3, requires_grad=True)  # what a generator made

    def value() -> Tensor:
        torch.manual_seed(1)
        return penalty(critic, real, fake)

    value().backward()
    assert fake.grad is None
    exact = weight.grad.clone()
    direction = torch.randn_like(weight)
    with torch.no_grad():
        weight.add_(step * direction)
        above = value()
        weight.sub_(2.0 * step * direction)
        below = value()
    assert ((above - below) / (2.0 * step)).item() == pytest.approx((exact * direction).sum().item(), rel=1e-2)


def test_input_gradients_are_float32_with_a_graph_even_without_gradients_and_under_autocast() -> None:
    critic = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        gradient = input_gradients(critic, torch.randn(4, 3))
    assert gradient.dtype == torch.float32 and gradient.requires_grad
    assert torch.equal(gradient, critic[0].weight.detach().expand(4, 3))


def test_linear_critic_on_two_shifted_gaussians() -> None:
    """Of norm one along the shift s: minus |s|, which is -W1. The best one under lambda: of norm 1 + |s| / (2 lambda)."""
    torch.manual_seed(0)
    shift, weight = torch.tensor([3.0, 4.0]), 5.0
    fake = torch.randn(500, 2)
    real = fake + shift
    along = linear((shift / 5.0)[None])
    assert wasserstein_critic(along(real), along(fake)).item() == pytest.approx(-5.0, rel=1e-4)
    assert two_sided(along, real, fake).item() == pytest.approx(0.0, abs=1e-6)
    free = torch.tensor([[0.3, -0.2]], requires_grad=True)
    for _ in range(300):
        critic = linear(free)
        loss = wasserstein_critic(critic(real), critic(fake)) + weight * two_sided(critic, real, fake)
        (gradient,) = torch.autograd.grad(loss, free)
        free.data -= 0.05 * gradient
    torch.testing.assert_close(free.detach()[0], (1.0 + 5.0 / (2.0 * weight)) * shift / 5.0, atol=1e-3, rtol=0)
    assert loss.item() == pytest.approx(-(5.0 + 25.0 / (4.0 * weight)), rel=1e-3)


# -- the Dirac-GAN (Mescheder et al. 2018, sec. 2): data at 0, G = theta, D(x) = psi x, which is a game about psi theta ----

RATE = 0.1


def gradients(theta: Tensor, psi: Tensor, penalty: Callable | None, weight: float) -> tuple[Tensor, Tensor]:
    """Of both players at a point: d(critic's loss) / d psi and d(generator's loss) / d theta."""
    theta, psi = (value.detach().requires_grad_() for value in (theta, psi))
    zero = torch.zeros(1, 1, dtype=theta.dtype)

    def critic(x: Tensor) -> Tensor:
        return x[:, 0] * psi.to(x.dtype)

    loss = wasserstein_critic(critic(zero), critic(theta.view(1, 1)))
    if penalty is not None:
        loss = loss + weight * penalty(critic, zero, theta.detach().view(1, 1))
    return torch.autograd.grad(-psi * theta, theta)[0], torch.autograd.grad(loss, psi)[0]


def iterate(penalty: Callable | None, steps: int = 400, weight: float = 1.0) -> Tensor:
    """(steps, 2) of (theta, psi) under simultaneous gradient descent from (1, 0.5)."""
    theta, psi = torch.tensor(1.0), torch.tensor(0.5)
    path = []
    for _ in range(steps):
        to_theta, to_psi = gradients(theta, psi, penalty, weight)
        theta, psi = theta - RATE * to_theta, psi - RATE * to_psi
        path.append(torch.stack([theta, psi]))
    return torch.stack(path)


def spectral_radius(penalty: Callable | None) -> float:
    """Of the Jacobian of one step at (0, 0), by columns: exact, because the step is linear there."""
    columns = []
    for point in torch.eye(2):
        to_theta, to_psi = gradients(point[0], point[1], penalty, 1.0)
        columns.append(torch.stack([point[0] - RATE * to_theta, point[1] - RATE * to_psi]))
    return torch.linalg.eigvals(torch.stack(columns, 1)).abs().max().item()


def only_r1(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    return r1(critic, real)


def only_r2(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    return r2(critic, fake)


def test_dirac_gan_without_a_penalty_spirals_outwards() -> None:
    """The eigenvalues of a step are 1 +- i h, so the distance to the equilibrium grows by sqrt(1 + h^2) in each."""
    assert spectral_radius(None) == pytest.approx((1.0 + RATE**2) ** 0.5, rel=1e-5)
    distance = iterate(None).norm(dim=1)
    assert (distance[1:] > distance[:-1]).all()
    assert distance[-1].item() == pytest.approx(1.25**0.5 * (1.0 + RATE**2) ** 200, rel=1e-3)


@pytest.mark.parametrize("penalty", [only_r1, only_r2])
def test_dirac_gan_converges_with_a_zero_centred_penalty(penalty: Callable) -> None:
    """The eigenvalues of [[1, h], [-h, 1 - h]] have modulus sqrt(1 - h + h^2)."""
    assert spectral_radius(penalty) == pytest.approx((1.0 - RATE + RATE**2) ** 0.5, rel=1e-5)
    assert iterate(penalty)[-1].norm() < 1e-6


def test_dirac_gan_does_not_reach_the_data_with_the_two_sided_penalty() -> None:
    """It holds |psi| near 1, which is not the equilibrium (Mescheder et al. 2018, sec. 3.2). A small lambda: theta circles the
    data for ever. A large one: psi cannot change its sign, and both rest where |theta| = 2 lambda."""
    circling = iterate(two_sided, 600, weight=0.3)[-200:]
    assert 1.3 < circling.norm(dim=1).min() and circling.norm(dim=1).max() < 1.8
    assert circling[:, 0].min() < -1.4 and circling[:, 0].max() > 1.4
    torch.testing.assert_close(iterate(two_sided, 500)[-1], torch.tensor([2.0, 0.0]), atol=1e-4, rtol=0)
