"""Generative adversarial network whose codes can be read from its images (Chen et al. 2016, arXiv 1606.03657).

Differs from the paper: the layers of the discriminator have spectral norm one instead of batch normalisation, as in Lin et al.
2020 (arXiv 1906.06034), whose networks for sprites are used; noise is Gaussian; Q gives the variance of a continuous code too;
samples come from an averaged generator, and are rounded to the levels of the data.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.likelihood import from_space
from genarena.models.capabilities import Decodes, Encodes
from genarena.models.gan.augmentation import DiffAugment
from genarena.models.gan.latent_codes import LatentCodes
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.objectives import log_loss_discriminator, non_saturating_generator
from genarena.nets.strided import StridedDecoder, StridedEncoder
from genarena.options.values import Count, NonNegative, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.players import Player
from genarena.training.schedule import warmup_constant_cosine

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.999)), schedule=warmup_constant_cosine, batch_size=64
)
SLOPE = 0.1  # of the leaky ReLUs for negative inputs


class InfoGAN(LatentGAN, Encodes, Decodes):
    """min_(G, Q) max_D V(D, G) - lambda L_I,   L_I = H(c) + E_(c, x = G(c, noise))[log Q(c|x)] <= I(c; x)  (eq. 5 and 6).

    L_I is at most H(c) for categorical codes, which it reaches if every x tells its code. V is that of `dcgan`. Q is a small
    network on the last hidden layer of D, and is trained with D and with G.
    categories, num_continuous, num_noise: of `LatentCodes`; z has `latent_dim` entries in all.
    information_weight: lambda. hidden: width of the dense layer of G, and of the one that D and Q share.

    `encode` gives the entries of z that are codes, as Q finds them; `emit` and `decode` take these alone too.
    """

    paper = "1606.03657"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        categories: Sequence[Count] = (10,),
        num_continuous: Whole = 2,
        num_noise: Count = 62,
        information_weight: NonNegative = 1.0,
        hidden: Count = 256,
        n_critic: Count = 1,
        discriminator_optimizer: Callable | None = None,
        augmentation: DiffAugment | None = None,
    ) -> None:
        codes = LatentCodes(categories, num_continuous, num_noise)
        dims = codes.latent_dim
        super().__init__(spec, training or PAPER_TRAINING, discriminator_optimizer, n_critic, dims, augmentation)
        self.codes, self.information_weight = codes, information_weight
        self.generator = StridedDecoder(dims, spec.shape[0], spec.shape[1:], hidden, normalised=True)
        self.discriminator = StridedEncoder(spec.shape, 1, hidden, spectral=True, slope=SLOPE)
        self.recogniser = nn.Sequential(
            nn.Linear(hidden, hidden // 2), nn.LeakyReLU(SLOPE), nn.Linear(hidden // 2, codes.num_outputs)
        )

    def players(self) -> list[Player]:
        discriminator, generator = super().players()
        own = [*self.discriminator.parameters(), *self.recogniser.parameters()]
        return [Player(discriminator.name, own, self.discriminator_loss, self.discriminator_optimizer), generator]

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z) (N, C, H, W) in [-1, 1], before rounding. z: (N, latent_dim), or the codes alone, with noise 0."""
        return torch.tanh(self.generator(self.codes.inputs(F.pad(z, (0, self.latent_dim - z.shape[1])))).float())

    def drawn(self, num: int) -> tuple[Tensor, Tensor]:
        """z ~ N(0, I), and the images of them as `generate` gives them."""
        z = torch.randn(num, self.latent_dim, device=self.device)
        return z, self.rounded(self.emit(z))

    def information(self, z: Tensor, trunk: Tensor) -> Tensor:
        """L_I, nats, of latent vectors and of what D and Q share for their images."""
        return self.codes.entropy + self.codes.log_q(z, self.recogniser(trunk)).mean()

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            z, fake = self.drawn(len(batch.x))
        trunk = self.discriminator.trunk(self.view(torch.cat([self.real(batch.x), fake])))
        real_logits, fake_logits = self.discriminator.last(trunk).chunk(2)
        information = self.information(z, trunk[len(z) :])
        loss = log_loss_discriminator(real_logits, fake_logits) - self.information_weight * information
        real, fake_share = (torch.sigmoid(logits.float()).mean() for logits in (real_logits, fake_logits))
        return {"loss": loss, "information": information, "real": real, "fake": fake_share}

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        z, fake = self.drawn(len(batch.x))
        trunk = self.discriminator.trunk(self.view(fake))
        information = self.information(z, trunk)
        game = non_saturating_generator(self.discriminator.last(trunk))
        return {"loss": game - self.information_weight * information, "information": information}

    @torch.no_grad()
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, codes): of each categorical code the probabilities of its values, of each continuous one an entry of z."""
        return self.codes.entries(self.recogniser(self.discriminator.trunk(self.real(x))))

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Levels (N, C, H, W) of G at these codes and noise 0, its mode."""
        return from_space(self.emit(z), self.spec)

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """`discriminator`: what D and Q share. `code`: what `encode` gives."""
        return super().features(x, y) | Encodes.features(self, x, y)
