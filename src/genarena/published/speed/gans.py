"""GANs and their samples against the same networks in plain PyTorch, trained by algorithm 1 of Goodfellow et al. 2014
(arXiv 1406.2661): each player has noise of its own. PyTorch's own example gives the generator the images that the discriminator
has just seen, and saves one pass of the generator in each step."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.gan.dcgan import DCGAN
from genarena.models.gan.latent_gan import LatentGAN
from genarena.published.speed.alternation import Pair, compared, still
from genarena.spec import Batch, DataSpec
from genarena.training.players import constant, seated

SPEC, ROWS, CODE, WIDTH = DataSpec((1, 28, 28), 256), 64, 100, 64  # the sizes of conf/model/dcgan.yaml
ADAM = partial(torch.optim.Adam, lr=4e-4, betas=(0.5, 0.999))


class PlainGenerator(nn.Sequential):
    """z (N, CODE) to images (N, 1, 28, 28): 128 x 7 x 7, 64 x 14 x 14, 1 x 28 x 28."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(CODE, 2 * WIDTH * 49, bias=False),
            nn.Unflatten(1, (2 * WIDTH, 7, 7)),
            nn.BatchNorm2d(2 * WIDTH),
            nn.ReLU(True),
            nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(True),
            nn.ConvTranspose2d(WIDTH, 1, 4, 2, 1),
            nn.Tanh(),
        )


class PlainDiscriminator(nn.Sequential):
    """Images to logits (N, 1)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, WIDTH, 4, 2, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * WIDTH),
            nn.LeakyReLU(0.2, True),
            nn.Flatten(),
            nn.Linear(2 * WIDTH * 49, 1),
        )


def dcgan(num_rounds: int = 9) -> str:
    """Both players, batches of 64."""
    return _compared("dcgan", "log", num_rounds)


def lsgan(num_rounds: int = 9) -> str:
    """The same with squared errors."""
    return _compared("lsgan", "least_squares", num_rounds)


def _compared(name: str, objective: str, num_rounds: int) -> str:
    ours, generator = DCGAN(SPEC, channels=WIDTH, latent_dim=CODE, objective=objective), PlainGenerator()
    x = torch.randint(256, (ROWS, *SPEC.shape), dtype=torch.uint8)
    error = F.mse_loss if name == "lsgan" else F.binary_cross_entropy_with_logits
    plain = _plain_step(generator, x / 127.5 - 1.0, error)
    pairs = [
        Pair(f"a step of both on {ROWS} images", turns(ours, Batch(x)), plain),
        samples(ours, generator),
    ]
    return compared(name, "plain PyTorch", pairs, num_rounds)


def samples(ours: LatentGAN, generator: nn.Module) -> Pair:
    """The generator alone beside our samples, which are rounded to levels."""
    drawn = still(generator, lambda: generator(torch.randn(250, ours.latent_dim)))
    return Pair("250 samples", still(ours, lambda: ours.sample(250)), drawn)


def turns(model: LatentGAN, batch: Batch, num_steps: int = 1) -> Callable[[], None]:
    """So many steps, in each of which the players move whose turn it is."""
    seats, optimizers = seated(model, model.players(), ADAM)

    def run() -> None:
        model.train()
        for index in range(num_steps):
            for seat in seats:
                if seat.moves(index):
                    optimizers[seat.optimizer].zero_grad()
                    seat.terms(batch)[f"{seat.player.prefix}loss"].backward()
                    optimizers[seat.optimizer].step()

    return run


def moved(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> None:
    """One move of a player in a plain loop."""
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()


def _plain_step(generator: nn.Module, real: Tensor, error: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], None]:
    discriminator, one, zero = PlainDiscriminator(), torch.ones(ROWS, 1), torch.zeros(ROWS, 1)
    of_discriminator, of_generator = ADAM(discriminator.parameters()), ADAM(generator.parameters())

    def discriminator_loss() -> Tensor:
        with torch.no_grad():
            fake = generator(torch.randn(ROWS, CODE))
        return error(discriminator(real), one) + error(discriminator(fake), zero)

    def run() -> None:
        generator.train()
        moved(of_discriminator, discriminator_loss)
        with constant(discriminator.parameters()):
            moved(of_generator, lambda: error(discriminator(generator(torch.randn(ROWS, CODE))), one))

    return run
