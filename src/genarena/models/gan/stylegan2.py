"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), with adaptive augmentation (arXiv 2006.06676) where it is asked for.

Differs from the paper: no noise inputs, so that an image is a function of its latent vector; no style mixing, and no
standard deviation over the batch in the discriminator, whose scores are of one image each; bilinear interpolation and means
over 2x2 pixels instead of filters; the generator ends in tanh and its images are rounded to the levels of the data; lazy
penalties take steps of their own with the optimisers of their players, whose rates do not change for it.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from genarena.models.gan import penalties
from genarena.models.gan.adaptive_augmentation import AdaptiveAugment
from genarena.models.gan.augmentation import DiffAugment
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.objectives import log_loss_discriminator, non_saturating_generator
from genarena.nets.conditioning import num_features
from genarena.nets.stylegan2 import StyleDiscriminator, StyleGenerator
from genarena.options.values import Count, NonNegative, Share
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.players import Player
from genarena.training.schedule import constant

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.Adam, lr=2.5e-3, betas=(0.0, 0.99)), schedule=constant, batch_size=64
)


class StyleGAN2(LatentGAN):
    """The log-loss game of `dcgan`, with gamma R1 for D and E[(|J_w^T u| - a)^2] for G, u ~ N(0, I) (eq. 4).

    J_w: of the image in the styles w. a: running mean of the lengths |J_w^T u|, `path_decay` old. r1_gamma, path_weight: of the
    penalties; they are added every `r1_every`-th and `path_every`-th step, that many times as strong (sec. 3.1).
    channels, growth, style_dim, num_mapping: of `StyleGenerator` and `StyleDiscriminator`. The penalties need second
    derivatives, so the model trains in float32 and its parameters are not sharded.
    """

    paper = "1912.04958"
    conditional = True
    mixed_precision = False
    shardable = False

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        generator_channels: Count = 16,
        discriminator_channels: Count = 16,
        growth: Count = 2,
        style_dim: Count = 64,
        num_mapping: Count = 2,
        latent_dim: Count = 64,
        n_critic: Count = 1,
        r1_gamma: NonNegative = 0.01,
        r1_every: Count = 16,
        path_weight: NonNegative = 2.0,
        path_every: Count = 4,
        path_decay: Share = 0.99,
        discriminator_optimizer: Callable | None = None,
        augmentation: DiffAugment | AdaptiveAugment | None = None,
    ) -> None:
        super().__init__(spec, training or PAPER_TRAINING, discriminator_optimizer, n_critic, latent_dim, augmentation)
        self.r1_gamma, self.r1_every = r1_gamma, r1_every
        self.path_weight, self.path_every, self.path_decay = path_weight, path_every, path_decay
        context = num_features(spec.condition)
        sizes = (growth, style_dim, num_mapping, context)
        self.generator = StyleGenerator(latent_dim, spec.shape, generator_channels, *sizes)
        self.discriminator = StyleDiscriminator(spec.shape, discriminator_channels, growth, context)
        self.register_buffer("path_mean", torch.zeros(()))

    def players(self) -> list[Player]:
        """Both, and their lazy penalties as players that use their optimisers."""
        discriminator, generator = super().players()
        r1 = Player("r1", discriminator.owned, self.r1_loss, discriminator.name, self.r1_every)
        path = Player("path", generator.owned, self.path_loss, generator.name, self.n_critic * self.path_every)
        return [discriminator, *([r1] if self.r1_gamma else []), generator, *([path] if self.path_weight else [])]

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.view(self.generate(len(batch.x), batch.y))
        real, context = self.view(self.real(batch.x)), self.context(batch.y, len(batch.x))
        both = None if context is None else torch.cat([context, context])
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake]), both).chunk(2)
        terms = {"loss": log_loss_discriminator(real_logits, fake_logits)}
        terms |= {"real": torch.sigmoid(real_logits).mean(), "fake": torch.sigmoid(fake_logits).mean()}
        if isinstance(self.augmentation, AdaptiveAugment):
            if self.training:
                self.augmentation.listen(exchange.whole_batch(real_logits.detach()))
            terms["augmented"] = self.augmentation.p.clone()
        return terms

    def r1_loss(self, batch: Batch) -> dict[str, Tensor]:
        """`penalty`: R1 before gamma."""
        critic = partial(self.discriminator, context=self.context(batch.y, len(batch.x)))
        penalty = penalties.r1(critic, self.view(self.real(batch.x)))
        return {"loss": self.r1_every * self.r1_gamma * penalty, "penalty": penalty.detach()}

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        fake, context = self.judged(batch)
        return {"loss": non_saturating_generator(self.discriminator(self.view(fake), context))}

    def path_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Of half as many images as the batch has. `length`: their mean |J_w^T u|; in training mode a follows it."""
        num = max(1, len(batch.x) // 2)
        context = self.context(None if batch.y is None else batch.y[:num], num)
        w = self.generator.mapping(
            torch.randn(num, self.latent_dim, device=self.device), None if context is None else context.detach()
        )
        lengths = penalties.path_lengths(lambda w: torch.tanh(self.generator.synthesis(w)), w)
        mean = torch.lerp(lengths.detach().mean(), self.path_mean, self.path_decay)
        if self.training:
            self.path_mean.copy_(mean)
        loss = self.path_every * self.path_weight * (lengths - mean).square().mean()
        return {"loss": loss, "length": lengths.detach().mean()}
