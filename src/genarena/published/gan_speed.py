"""A step of DCGAN and its samples against the same networks in plain PyTorch, trained by algorithm 1 of Goodfellow et al. 2014
(arXiv 1406.2661): each player has noise of its own. PyTorch's own example gives the generator the images that the discriminator
has just seen, and saves one pass of the generator in each step."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.gan.dcgan import DCGAN
from genarena.published.alternation import Pair, compared, still
from genarena.spec import Batch, DataSpec
from genarena.training.players import seated

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
    ours, generator = DCGAN(SPEC, channels=WIDTH, latent_dim=CODE), PlainGenerator()
    x = torch.randint(256, (ROWS, *SPEC.shape), dtype=torch.uint8)
    pairs = [
        Pair(f"a step of both on {ROWS} images", _step(ours, Batch(x)), _plain_step(generator, x / 127.5 - 1.0)),
        Pair(
            "250 samples",
            still(ours, lambda: ours.sample(250)),
            still(generator, lambda: generator(torch.randn(250, CODE))),
        ),
    ]
    return compared("dcgan", "plain PyTorch", pairs, num_rounds)


def _step(model: DCGAN, batch: Batch) -> Callable[[], None]:
    seats, optimizers = seated(model, model.players(), ADAM)

    def run() -> None:
        model.train()
        for seat, optimizer in zip(seats, optimizers, strict=True):
            optimizer.zero_grad()
            seat.terms(batch)[f"{seat.player.prefix}loss"].backward()
            optimizer.step()

    return run


def _plain_step(generator: nn.Module, real: Tensor) -> Callable[[], None]:
    discriminator, one, zero = PlainDiscriminator(), torch.ones(ROWS, 1), torch.zeros(ROWS, 1)
    of_discriminator, of_generator = ADAM(discriminator.parameters()), ADAM(generator.parameters())

    def run() -> None:
        generator.train()
        of_discriminator.zero_grad()
        F.binary_cross_entropy_with_logits(discriminator(real), one).backward()
        with torch.no_grad():
            fake = generator(torch.randn(ROWS, CODE))
        F.binary_cross_entropy_with_logits(discriminator(fake), zero).backward()
        of_discriminator.step()
        of_generator.zero_grad()
        F.binary_cross_entropy_with_logits(discriminator(generator(torch.randn(ROWS, CODE))), one).backward()
        of_generator.step()

    return run
