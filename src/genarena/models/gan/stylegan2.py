"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), with adaptive augmentation (arXiv 2006.06676) where it is asked for.

Style mixing, truncation and noise are those of Karras et al. 2019 (arXiv 1812.04948).

Differs from the paper: bilinear interpolation and means over 2x2 pixels instead of filters; the generator ends in tanh and its
images are rounded to the levels of the data; two vectors of a mixed image are drawn per image, not per batch; lazy penalties
take steps of their own with the optimisers of their players, whose rates do not change for it (`stylegan2_paper` writes scaled
ones); conditions go into D by projection alone. The paper's large images have eight mapping layers, R1 10, path_weight 2,
mixing 0.9 and minibatch_group 4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from genarena.models.gan import penalties
from genarena.models.gan.adaptive_augmentation import AdaptiveAugment
from genarena.models.gan.augmentation import DiffAugment
from genarena.models.gan.latent_gan import LatentGAN
from genarena.models.gan.objectives import log_loss_discriminator, non_saturating_generator
from genarena.models.sampler import Sampler
from genarena.nets.conditioning import num_features
from genarena.nets.stylegan2 import StyleDiscriminator, StyleGenerator, mixed
from genarena.options.values import Count, NonNegative, Share
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training
from genarena.training.players import Player
from genarena.training.schedule import constant

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.Adam, lr=2.5e-3, betas=(0.0, 0.99)), schedule=constant, batch_size=64
)


@dataclass(frozen=True)
class Truncation(Sampler):
    """Styles nearer to their mean than those of the model, for fewer kinds of better images (arXiv 1812.04948, app. B).

    truncation: psi of w' = mean + psi (w - mean). 1: samples of the model itself; 0: one style for all, the mean image.
    """

    truncation: Share = 1.0


class StyleGAN2(LatentGAN):
    """The log-loss game of `dcgan`, with gamma R1 for D and E[(|J_w^T u| - a)^2] for G, u ~ N(0, I) (eq. 4).

    J_w: of the image in the styles w. a: running mean of the lengths |J_w^T u|, `path_decay` old. r1_gamma, path_weight: of the
    penalties; they are added every `r1_every`-th and `path_every`-th step, that many times as strong (sec. 3.1).
    channels, growth, style_dim, num_mapping, residual: of `StyleGenerator` and `StyleDiscriminator`. The penalties need second
    derivatives, so the model trains in float32 and its parameters are not sharded.
    noise: whether each layer of G has its own. It is the end of a code z, drawn anew for each sample; `emit` is a function of
    both, and takes the first `latent_dim` numbers alone too: no noise.
    mixing: share of the images of training that have two latent vectors, one up to a layer drawn at random and one from there.
    minibatch_group: of `MinibatchDeviation` in D, which judges each example alone in eval mode; None: no such channel.
    """

    paper = "1912.04958"
    conditional = True
    mixed_precision = False
    shardable = False
    samplers = Truncation

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
        noise: bool = True,
        mixing: Share = 0.9,
        minibatch_group: Count | None = 4,
        residual: bool = True,
        discriminator_optimizer: Callable | None = None,
        augmentation: DiffAugment | AdaptiveAugment | None = None,
        sampler: Truncation = Truncation(),
    ) -> None:
        super().__init__(spec, training or PAPER_TRAINING, discriminator_optimizer, n_critic, latent_dim, augmentation)
        self.use(sampler)
        self.r1_gamma, self.r1_every, self.mixing = r1_gamma, r1_every, mixing
        self.path_weight, self.path_every, self.path_decay = path_weight, path_every, path_decay
        context = num_features(spec.condition)
        sizes = (growth, style_dim, num_mapping, context)
        self.generator = StyleGenerator(latent_dim, spec.shape, generator_channels, *sizes, noise)
        self.discriminator = StyleDiscriminator(
            spec.shape, discriminator_channels, growth, context, minibatch_group, residual
        )
        self.latent_dim = latent_dim + self.generator.synthesis.num_noise
        self.register_buffer("path_mean", torch.zeros(()))

    def players(self) -> list[Player]:
        """Both, and their lazy penalties as players that use their optimisers."""
        discriminator, generator = super().players()
        r1 = Player("r1", discriminator.owned, self.r1_loss, discriminator.name, self.r1_every)
        path = Player("path", generator.owned, self.path_loss, generator.name, self.n_critic * self.path_every)
        return [discriminator, *([r1] if self.r1_gamma else []), generator, *([path] if self.path_weight else [])]

    def unrounded(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """As that of the base class: styles are mixed in training mode, truncated as the sampler says in eval mode."""
        z, context = torch.randn(num_samples, self.latent_dim, device=self.device), self.context(y, num_samples)
        context = None if context is None else context.detach()
        psi = self.sampler.truncation
        styles = self.mixed(z, context) if self.training else self.generator.styles(z, context, psi)
        return self.generator.images(styles, self.generator.noise(z)).float()

    def mixed(self, z: Tensor, context: Tensor | None) -> Tensor:
        """Styles (N, num_styles, style_dim) of codes z; a share `mixing` of them ends in those of other codes."""
        styles = self.generator.styles(z, context)
        if self.mixing == 0.0:
            return styles
        others, num = self.generator.styles(torch.randn_like(z), context), self.generator.synthesis.num_styles
        start = torch.randint(1, num, (len(z),), device=z.device)
        return mixed(styles, others, torch.where(torch.rand(len(z), device=z.device) < self.mixing, start, num))

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.view(self.generate(len(batch.x), batch.y))
        real, context = self.view(self.real(batch.x)), self.context(batch.y, len(batch.x))
        # Two passes: the deviation over a minibatch is one of real or of generated images.
        real_logits, fake_logits = self.discriminator(real, context), self.discriminator(fake, context)
        terms = {"loss": log_loss_discriminator(real_logits, fake_logits)}
        terms |= {"real": torch.sigmoid(real_logits).mean(), "fake": torch.sigmoid(fake_logits).mean()}
        if isinstance(self.augmentation, AdaptiveAugment):
            if self.training:
                self.augmentation.listen(exchange.whole_batch(real_logits.detach()))
            terms["augmented"] = self.augmentation.p.clone()
        return terms

    def r1_loss(self, batch: Batch) -> dict[str, Tensor]:
        """`penalty`: R1 before gamma, of the sum of the scores, as the authors take it where a minibatch has a deviation."""
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
        z = torch.randn(num, self.latent_dim, device=self.device)
        styles = self.mixed(z, None if context is None else context.detach())
        noise = self.generator.noise(z)
        lengths = penalties.path_lengths(lambda styles: self.generator.images(styles, noise), styles)
        mean = torch.lerp(lengths.detach().mean(), self.path_mean, self.path_decay)
        if self.training:
            self.path_mean.copy_(mean)
        loss = self.path_every * self.path_weight * (lengths - mean).square().mean()
        return {"loss": loss, "length": lengths.detach().mean()}
