"""R3GAN: the relativistic loss and both penalties by hand, the Dirac-GAN's eigenvalues, the schedule, the networks."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from genarena.models.gan.objectives import relativistic_discriminator, relativistic_generator
from genarena.models.gan.r3gan import R3GAN
from genarena.nets.r3gan import R3GANDiscriminator, R3GANGenerator
from genarena.spec import Batch, DataSpec
from genarena.training.players import seated, set_beta2

IMAGES, POINTS = DataSpec((1, 8, 8), 17), DataSpec((2,))
LABELLED = DataSpec((2,), num_classes=3, condition="label")
SMALL = {"generator_channels": 8, "discriminator_channels": 8, "hidden": 8, "latent_dim": 4}


def model(spec: DataSpec, **options: object) -> R3GAN:
    torch.manual_seed(0)
    return R3GAN(spec, **SMALL | options)


class Constant(nn.Module):
    """G(z) = theta for every z."""

    def __init__(self, theta: Tensor) -> None:
        super().__init__()
        self.theta = theta

    def forward(self, z: Tensor) -> Tensor:
        return self.theta.expand(len(z), -1)


class Linear(nn.Module):
    """D(x) = psi^T x + 3."""

    def __init__(self, psi: Tensor) -> None:
        super().__init__()
        self.psi = psi

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return x @ self.psi + 3.0


def dirac(theta: Tensor, psi: Tensor, gamma: float, x: Tensor) -> R3GAN:
    """The game of Mescheder et al. 2018 (arXiv 1801.04406, sec. 2)."""
    game = model(DataSpec((len(psi),)), gamma_start=gamma, gamma_end=gamma)
    game.generator, game.discriminator, game.batch = Constant(theta), Linear(psi), Batch(x)
    return game


def test_the_loss_is_the_relativistic_one_and_both_penalties_of_a_linear_critic_are_half_its_squared_norm() -> None:
    theta, psi, x = torch.tensor([0.5, 1.0, 0.0]), torch.tensor([1.0, -2.0, 2.0]), torch.randn(5, 3)
    game = dirac(theta, psi, 0.7, x)
    terms, margin = game.discriminator_loss(game.batch), x @ psi - theta @ psi
    assert [terms[name].item() for name in ("r1", "r2")] == pytest.approx([4.5, 4.5])
    torch.testing.assert_close(terms["loss"], (1.0 + (-margin).exp()).log().mean() + 0.7 * 9.0)
    torch.testing.assert_close(terms["margin"], margin.mean())
    torch.testing.assert_close(game.generator_loss(game.batch)["loss"], (1.0 + margin.exp()).log().mean())


def test_the_loss_depends_on_the_difference_of_scores_alone() -> None:
    real, fake, shift = torch.randn(3, 50)
    for loss in (relativistic_discriminator, relativistic_generator):
        torch.testing.assert_close(loss(real + shift, fake + shift), loss(real, fake))
        assert not torch.allclose(loss(real + shift, fake), loss(real, fake))


def eigenvalues(gamma: float, rate: float = 0.2) -> Tensor:
    """Of the Jacobian at (0, 0) of a step of simultaneous gradient descent, with data at 0; by columns, which are exact: on
    both axes theta psi = 0, and the step is linear."""
    columns = []
    for point in torch.eye(2):
        theta, psi = point[:1].requires_grad_(), point[1:].requires_grad_()
        game = dirac(theta, psi, gamma, torch.zeros(1, 1))
        critic = torch.autograd.grad(game.discriminator_loss(game.batch)["loss"], psi)[0]
        actor = torch.autograd.grad(game.generator_loss(game.batch)["loss"], theta)[0]
        columns.append(point - rate * torch.cat([actor, critic]))
    return torch.linalg.eigvals(torch.stack(columns, 1))


def test_the_dirac_gan_contracts_with_the_penalties_and_orbits_without() -> None:
    """A step is [[1, h/2], [-h/2, 1 - 2 h gamma]]: its eigenvalues have modulus sqrt(1 - 2 h gamma + h^2 / 4)."""
    inside, orbit = eigenvalues(0.3).abs(), eigenvalues(0.0)
    assert inside.tolist() == pytest.approx([(1.0 - 0.12 + 0.01) ** 0.5] * 2, rel=1e-5)
    assert orbit.real.tolist() == pytest.approx([1.0, 1.0]) and orbit.imag.abs().tolist() == pytest.approx([0.1, 0.1])


def test_gamma_falls_along_half_a_cosine() -> None:
    gan, found = model(POINTS, gamma_start=0.05, gamma_end=0.005), []
    for gan.progress in (0.0, 0.5, 1.0):
        found.append(gan.gamma)
    assert found == pytest.approx([0.05, 0.0275, 0.005])


def test_a_share_of_the_batch_is_penalised() -> None:
    gan, x = model(POINTS, penalty_share=0.25, latent_dim=2), torch.randn(8, 2)
    gan.discriminator = Square()
    assert gan.discriminator_loss(Batch(x))["r1"].item() == pytest.approx(
        2.0 * x[:2].square().sum(1).mean().item(), rel=1e-5
    )
    with pytest.raises(ValueError, match="penalty_share=0"):
        model(POINTS, penalty_share=0.0)


class Square(nn.Module):
    """D(x) = |x|^2."""

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return x.square().sum(1)


@pytest.mark.parametrize("spec", [IMAGES, POINTS, LABELLED], ids=["images", "points", "labels"])
def test_each_loss_moves_its_own_player(spec: DataSpec) -> None:
    gan, y = model(spec), torch.arange(6) % 3 if spec.condition else None
    data = Batch(torch.randn(6, 2) if spec.is_vector else torch.randint(17, (6, 1, 8, 8), dtype=torch.uint8), y)
    for parameter in gan.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    for player in gan.players():
        gan.zero_grad()
        others = {*gan.parameters()} - {*player.owned}
        for other in others:
            other.requires_grad_(False)
        player.loss(data)["loss"].backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in player.owned)
        for other in others:
            other.requires_grad_(True)


@pytest.mark.parametrize("shape", [(3, 9, 13), (1, 28, 28), (3, 33, 17)])
@pytest.mark.parametrize("patch", [1, None])
def test_any_image_size_is_drawn_and_judged_row_by_row(shape: tuple[int, int, int], patch: int | None) -> None:
    torch.manual_seed(0)
    sizes = {"channels": 4, "group_width": 4, "patch": patch}
    x = R3GANGenerator(3, shape, **sizes)(torch.randn(2, 3))
    critic = R3GANDiscriminator(shape, **sizes).train()
    assert x.shape == (2, *shape)
    torch.testing.assert_close(critic(x), torch.cat([critic(row[None]) for row in x]))
    with pytest.raises(ValueError, match="group_width=3: must divide 8"):
        R3GANDiscriminator(shape, **sizes | {"group_width": 3})


def test_blocks_start_as_the_identity_and_hold_the_variance_inside() -> None:
    torch.manual_seed(0)
    net = R3GANDiscriminator((1, 16, 16), 32, growth=1, patch=1)
    block, x = net.stages[0][0], torch.randn(8, 32, 16, 16)
    assert torch.equal(block(x), x)
    inside = nn.functional.leaky_relu(block.expand(x), 0.2)
    assert inside.square().mean().item() == pytest.approx(len(net.stages) ** -0.5, rel=0.15)  # (L^(-1/4))^2


def test_beta2_rises_from_its_start_to_that_of_the_optimisers() -> None:
    """0.9 to 0.99 along half a cosine; the steps set it, and beta1 stays."""
    game = model(POINTS, beta2_start=0.9)
    seats, optimizers = seated(game, game.players(), game.settings.optimizer)
    for progress, expected in ((0.0, 0.9), (0.5, 0.945), (1.0, 0.99)):
        game.progress = progress
        for seat in seats:
            set_beta2(optimizers[seat.optimizer], seat.player)
            assert optimizers[seat.optimizer].param_groups[0]["betas"] == pytest.approx((0.0, expected))
    assert all(player.beta2 is None for player in model(POINTS).players())
    with pytest.raises(ValueError, match="beta2_start=1: must be below 1"):
        model(POINTS, beta2_start=1.0)
    with pytest.raises(ValueError, match="discriminator: beta2 follows a schedule, and SGD has none"):
        seated(game, game.players(), partial(torch.optim.SGD, lr=0.1))


@pytest.mark.parametrize("labelled", [False, True])
def test_a_share_of_the_batch_is_penalised_and_all_of_it_is_scored(labelled: bool) -> None:
    made = model(LABELLED if labelled else POINTS, penalty_share=0.25)
    x = torch.randn(8, 2)
    context = made.context(torch.arange(8) % 3, 8) if labelled else None
    scores, penalty = made.scored(x, context)
    torch.testing.assert_close(scores, made.discriminator(x, context))
    at = x[:2].clone().requires_grad_()
    (slope,) = torch.autograd.grad(made.discriminator(at, context[:2] if labelled else None).sum(), at)
    torch.testing.assert_close(penalty, 0.5 * slope.square().sum(1).mean())
