"""Autoencoders of several layers of codes against plain PyTorch: Bernoulli pixels, batches of 128."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.vae.lvae import LVAE
from genarena.models.vae.vdvae import VDVAE
from genarena.published.speed.diffusions import normal_kl
from genarena.published.speed.vaes import BINARY, HIDDEN, against

LOW, HIGH, WIDTH = 64, 32, 256  # sizes of both layers of codes, units between them


Normal = tuple[Tensor, Tensor]  # its means and its log-variances
Choose = Callable[[Normal, Normal | None], Tensor]


def drawn(mean: Tensor, log_var: Tensor) -> Tensor:
    return mean + (0.5 * log_var).exp() * torch.randn_like(mean)


def log_ratio(z: Tensor, p: Normal, q: Normal) -> Tensor:
    """log p - log q (N,) at z."""
    of_p, of_q = ((z - mean) ** 2 * (-log_var).exp() + log_var for mean, log_var in (p, q))
    return 0.5 * (of_q - of_p).flatten(1).sum(1)


class PlainLadder(nn.Module):
    """Of both models: the bound, by closed forms, and importance weights. A subclass writes `walked`, which goes from the top
    down by way of a function that takes p and q of a layer (None without data) to its codes, and gives logits."""

    def log_weights(self, x: Tensor, num_draws: int = 1) -> Tensor:
        """Of binary x (N, 784), each drawn so often in a row. With one draw the bound."""
        terms: list[Tensor] = []

        def choose(p: Normal, q: Normal) -> Tensor:
            z = drawn(*q)
            terms.append(log_ratio(z, p, q) if num_draws > 1 else -normal_kl(q[0] - p[0], q[1], p[1]).flatten(1).sum(1))
            return z

        features = [part.repeat_interleave(num_draws, 0) for part in self.features(x)]
        logits = self.walked(choose, num_draws * len(x), features).flatten(1)
        pixels = x.repeat_interleave(num_draws, 0)
        return sum(terms) - F.binary_cross_entropy_with_logits(logits, pixels, reduction="none").sum(1)

    def sample(self, num: int) -> Tensor:
        return torch.bernoulli(torch.sigmoid(self.walked(lambda p, q: drawn(*p), num)))


class PlainLVAE(PlainLadder):
    """Sonderby et al. 2016 (arXiv 1602.02282), eq. 17 to 19, with the networks of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * LOW + WIDTH))
        self.upward = nn.Sequential(nn.LayerNorm(WIDTH), nn.SiLU(), *self.layers(WIDTH, 2 * HIGH))
        self.downward = nn.Sequential(*self.layers(HIGH, 2 * LOW))
        self.decoder = nn.Sequential(nn.Linear(LOW, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 784))

    def layers(self, before: int, after: int) -> list[nn.Module]:
        inner = nn.Linear(before, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU()
        return [*inner, nn.Linear(WIDTH, after)]

    def features(self, x: Tensor) -> list[Tensor]:
        low, passed_on = self.encoder(2.0 * x - 1.0).split((2 * LOW, WIDTH), 1)
        return [*self.upward(passed_on).chunk(2, 1), *low.chunk(2, 1)]

    def walked(self, choose: Choose, num: int, features: list[Tensor] | None = None) -> Tensor:
        zeros, q = torch.zeros(num, HIGH), None
        z = choose((zeros, zeros), features[:2] if features else None)
        mean, log_var = self.downward(z).chunk(2, 1)
        if features:
            seen, spread = features[2:]
            precision, own = (-log_var).exp(), (-spread).exp()
            q = (mean * precision + seen * own) / (precision + own), -(precision + own).log()
        return self.decoder(choose((mean, log_var), q))


def lvae(num_rounds: int = 9) -> str:
    """Two layers of codes, perceptrons between them."""
    ours = LVAE(BINARY, latent_dims=(LOW, HIGH), width=WIDTH, perceptron=(HIDDEN,))
    return against("lvae", ours, PlainLVAE(), num_rounds)


class PlainVDVAE(PlainLadder):
    """Child 2020 (arXiv 2011.10650), fig. 3: a loop around our convolutions, with q as its distance to p."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, output: nn.Module, z_channels: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.output, self.z_channels = encoder, decoder, output, z_channels

    def features(self, x: Tensor) -> list[Tensor]:
        return self.encoder(2.0 * x.view(-1, 1, *self.output.size) - 1.0)

    def walked(self, choose: Choose, num: int, features: list[Tensor] | None = None) -> Tensor:
        h, q = self.decoder.biases[0].expand(num, -1, -1, -1), None
        for index, (blocks, bias) in enumerate(zip(self.decoder.levels, self.decoder.biases, strict=True)):
            h = F.interpolate(h, bias.shape[2:]) + bias if index else h
            for block in blocks:
                outputs = block.prior(h)
                mean, log_var, more = outputs.tensor_split((self.z_channels, 2 * self.z_channels), 1)
                if features:
                    by, spread = block.posterior(torch.cat([h, features[index]], 1)).chunk(2, 1)
                    q = mean + by, log_var + spread
                h = h + more + block.projection(choose((mean, log_var), q))
                h = h + block.residual(h)
        return self.output(h)


def vdvae(num_rounds: int = 5) -> str:
    """The sizes of conf/model/vdvae.yaml."""
    ours = VDVAE(BINARY, decoder_blocks=(2, 1))
    plain = PlainVDVAE(ours.encoder, ours.decoder, ours.output, 8)
    return against("vdvae", ours, plain, num_rounds)
