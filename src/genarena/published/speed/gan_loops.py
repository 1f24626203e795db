"""GANs against the plain loops of their papers, with our networks on both sides: losses, penalties and turns are compared.

Ours also scale each batch to [-1, 1] and round what they generate to levels, which the plain loops do not.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.gan.infogan import InfoGAN
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.r3gan import R3GAN
from genarena.models.gan.sngan import SNGAN
from genarena.models.gan.stylegan2 import StyleGAN2
from genarena.models.gan.wgan_gp import WGANGP
from genarena.published.speed.alternation import Pair, compared
from genarena.published.speed.gans import ADAM, ROWS, SPEC, moved, samples, turns
from genarena.spec import Batch
from genarena.training.players import constant

CRITIC_STEPS = 5  # of WGAN-GP
R1_EVERY, PATH_EVERY = 16, 4  # of StyleGAN2
VALUES, CONTINUOUS, NOISE = 10, 2, 62  # of the code of InfoGAN
GAMMA = 0.05  # of R3GAN

Loss = Callable[[], Tensor]


def wgan_gp(num_rounds: int = 5) -> str:
    """Five steps of the critic with its penalty, and one of the generator."""
    ours = WGANGP(SPEC, generator_channels=16, discriminator_channels=16, latent_dim=16)
    generator, critic = ours.generator, ours.discriminator

    def critic_loss(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generator(torch.randn(ROWS, 16))
        between = torch.lerp(fake, real, torch.rand(ROWS, 1, 1, 1)).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1.0).square().mean()
        return critic(fake).mean() - critic(real).mean() + 10.0 * penalty

    def generator_loss(real: Tensor) -> Tensor:
        return -critic(generator(torch.randn(ROWS, 16))).mean()

    return _compared("wgan_gp", ours, critic_loss, generator_loss, num_rounds, CRITIC_STEPS)


def sngan(num_rounds: int = 7) -> str:
    """The hinge loss."""
    ours = SNGAN(SPEC, generator_channels=16, discriminator_channels=32)
    generator, discriminator = ours.generator, ours.discriminator

    def discriminator_loss(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generator(torch.randn(ROWS, 128))
        return F.relu(1.0 - discriminator(real)).mean() + F.relu(1.0 + discriminator(fake)).mean()

    def generator_loss(real: Tensor) -> Tensor:
        return -discriminator(generator(torch.randn(ROWS, 128))).mean()

    return _compared("sngan", ours, discriminator_loss, generator_loss, num_rounds)


def r3gan(num_rounds: int = 7) -> str:
    """Both penalties of all images in each step, of the scores that the loss has, as in the authors' code."""
    ours = R3GAN(SPEC, generator_channels=32, discriminator_channels=32, gamma_start=GAMMA, gamma_end=GAMMA)
    generator, discriminator = ours.generator, ours.discriminator

    def scored(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        score = discriminator(x)
        (slope,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        return score, slope.square().sum((1, 2, 3)).mean()

    def discriminator_loss(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake = generator(torch.randn(ROWS, 64))
        (real_score, r1), (fake_score, r2) = scored(real), scored(fake)
        return F.softplus(fake_score - real_score).mean() + 0.5 * GAMMA * (r1 + r2)

    def generator_loss(real: Tensor) -> Tensor:
        return F.softplus(discriminator(real) - discriminator(generator(torch.randn(ROWS, 64)))).mean()

    return _compared("r3gan", ours, discriminator_loss, generator_loss, num_rounds)


def infogan(num_rounds: int = 7) -> str:
    """One categorical and two continuous codes; the network that reads them is trained with both players."""
    ours = InfoGAN(SPEC, categories=(VALUES,), num_continuous=CONTINUOUS, num_noise=NOISE)
    discriminator = ours.discriminator

    def drawn() -> tuple[Tensor, Tensor, Tensor]:
        values, continuous = torch.randint(VALUES, (ROWS,)), 2.0 * torch.rand(ROWS, CONTINUOUS) - 1.0
        code = torch.cat([F.one_hot(values, VALUES), continuous, torch.randn(ROWS, NOISE)], 1)
        return torch.tanh(ours.generator(code)), values, continuous

    def missed(trunk: Tensor, values: Tensor, continuous: Tensor) -> Tensor:
        """Minus the bound on the mutual information, eq. 5 of Chen et al. 2016 (arXiv 1606.03657)."""
        logits, mean, log_var = ours.recogniser(trunk).split([VALUES, CONTINUOUS, CONTINUOUS], 1)
        density = -F.gaussian_nll_loss(mean, continuous, log_var.exp(), full=True)
        return F.cross_entropy(logits, values) - math.log(VALUES) - CONTINUOUS * (density + math.log(2.0))

    def discriminator_loss(real: Tensor) -> Tensor:
        with torch.no_grad():
            fake, *codes = drawn()
        trunk = discriminator.trunk(fake)
        real_logits, fake_logits = discriminator(real), discriminator.last(trunk)
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean() + missed(trunk, *codes)

    def generator_loss(real: Tensor) -> Tensor:
        fake, *codes = drawn()
        trunk = discriminator.trunk(fake)
        return F.softplus(-discriminator.last(trunk)).mean() + missed(trunk, *codes)

    readers = nn.ModuleList([discriminator, ours.recogniser])
    return _compared("infogan", ours, discriminator_loss, generator_loss, num_rounds, reader=readers)


def stylegan2(num_rounds: int = 3) -> str:
    """Sixteen steps of both players, with R1 in one and path lengths in four of them."""
    ours = StyleGAN2(SPEC, mixing=0.0)
    x = torch.randint(256, (ROWS, *SPEC.shape), dtype=torch.uint8)
    plain = _plain_style(ours.generator, ours.discriminator, ours.latent_dim, x / 127.5 - 1.0, ours.r1_gamma)
    pair = Pair(f"{R1_EVERY} steps of both on {ROWS} images", turns(ours, Batch(x), R1_EVERY), plain)
    return compared("stylegan2", "plain PyTorch", [pair, samples(ours, ours.generator)], num_rounds)


def _plain_style(
    generator: nn.Module, discriminator: nn.Module, size: int, real: Tensor, gamma: float
) -> Callable[[], None]:
    of_discriminator, of_generator = ADAM(discriminator.parameters()), ADAM(generator.parameters())
    mean = torch.zeros(())

    def discriminator_loss() -> Tensor:
        with torch.no_grad():
            fake = generator(torch.randn(ROWS, size))
        return F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()

    def r1() -> Tensor:
        x = real.clone().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
        return R1_EVERY * gamma * 0.5 * slope.square().sum((1, 2, 3)).mean()

    def path() -> Tensor:
        code = torch.randn(ROWS // 2, size)
        styles = generator.styles(code)
        images = generator.images(styles, generator.noise(code))
        noise = torch.randn_like(images) / 28.0
        (slope,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        mean.lerp_(lengths.detach().mean(), 0.01)
        return PATH_EVERY * 2.0 * (lengths - mean).square().mean()

    def run() -> None:
        generator.train()
        discriminator.train()
        for index in range(1, R1_EVERY + 1):
            moved(of_discriminator, discriminator_loss)
            if index % R1_EVERY == 0:
                moved(of_discriminator, r1)
            with constant(discriminator.parameters()):
                moved(of_generator, lambda: F.softplus(-discriminator(generator(torch.randn(ROWS, size)))).mean())
            if index % PATH_EVERY == 0:
                moved(of_generator, path)

    return run


def _compared(
    name: str,
    ours: LatentGAN,
    discriminator_loss: Callable[[Tensor], Tensor],
    generator_loss: Callable[[Tensor], Tensor],
    num_rounds: int,
    num_critic: int = 1,
    reader: nn.Module | None = None,
) -> str:
    """reader: the discriminator and what is trained with it; None: itself alone."""
    x, generator, reader = torch.randint(256, (ROWS, *SPEC.shape)).byte(), ours.generator, reader or ours.discriminator
    real, of_reader, of_generator = x / 127.5 - 1.0, ADAM(reader.parameters()), ADAM(generator.parameters())

    def run() -> None:
        ours.train()
        for _ in range(num_critic):
            moved(of_reader, lambda: discriminator_loss(real))
        with constant(reader.parameters()):
            moved(of_generator, lambda: generator_loss(real))

    steps = f"{num_critic} steps of the critic and one of the generator" if num_critic > 1 else "a step of both"
    pair = Pair(f"{steps} on {ROWS} images", turns(ours, Batch(x), num_critic), run)
    return compared(name, "plain PyTorch", [pair, samples(ours, ours.generator)], num_rounds)
