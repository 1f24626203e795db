"""Models of tokens and of levels against plain PyTorch, with our network on both sides: what is around it is compared."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.discrete_diffusion.corruption import Gaussian
from genarena.models.discrete_diffusion.d3pm import D3PM
from genarena.models.discrete_diffusion.masked_diffusion import MaskedDiffusion
from genarena.models.discrete_diffusion.reverse_chain import ReverseChain
from genarena.models.discrete_diffusion.unmasking import Unmasking
from genarena.models.flow.tarflow import CausalBlock, TarFlow
from genarena.nets.by_shape import unet_or_mlp
from genarena.nets.transformer import ImageTransformer
from genarena.published.speed.alternation import Pair, compared, likelihoods, still
from genarena.spec import DataSpec

BINARY, GREY = DataSpec((1, 28, 28), 2), DataSpec((1, 28, 28), 256)
ROWS, FEW = 32, 4  # images; of chains of 256 levels
UNMASKING_STEPS, CHAIN_STEPS = 20, 25
NET = partial(unet_or_mlp, hidden_channels=32)


def tarflow(num_rounds: int = 5) -> str:
    """Our transformers on both sides, in two affine maps of 196 tokens. Ours have activation normalisation before them, and a
    limit on their scales."""
    options = {"num_flow_blocks": 2, "hidden_channels": 64, "num_layers": 2, "num_heads": 2}
    ours = TarFlow(GREY, pixels="centred", **options)
    blocks = [part for part in ours.modules() if isinstance(part, CausalBlock)]

    def log_prob(x: Tensor) -> Tensor:
        z, total = F.pixel_unshuffle((x + torch.rand(x.shape)) / 256.0 - 0.5, 2).flatten(2).mT, 0.0
        for block in blocks:
            a, b = F.pad(block.head(block.body(block.stem(z[:, :-1]))), (0, 0, 1, 0)).chunk(2, 2)
            z, total = ((z + b) * torch.exp(a)).flip(1), total + a.sum((1, 2))
        return total + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((1, 2)) - 784 * math.log(256.0)

    def sampled() -> Tensor:
        z = torch.randn(ROWS, 196, 4)
        for block in reversed(blocks):
            z = _undone(block, z.flip(1))
        return ((F.pixel_shuffle(z.mT.unflatten(2, (14, 14)), 2) + 0.5) * 256.0).floor().clamp(0, 255).byte()

    x = torch.randint(256, (ROWS, *GREY.shape), dtype=torch.uint8)
    samples = Pair(f"{ROWS} samples", still(ours, lambda: ours.sample(ROWS)), still(ours, sampled))
    return compared("tarflow", "plain PyTorch", [*likelihoods(ours, ours, log_prob, x), samples], num_rounds)


def _undone(block: CausalBlock, z: Tensor) -> Tensor:
    """The inverse of a block, token by token; keys and values so far are kept, and grow."""
    tokens, kept = [z[:, :1]], [z.new_zeros(2, len(z), 2, 0, 32) for _ in block.body.blocks]
    for t in range(1, z.shape[1]):
        h = block.stem(tokens[-1]) + block.body.position[t - 1]
        for index, layer in enumerate(block.body.blocks):
            q, k, v = layer.attention.qkv(layer.attention_norm(h)).unflatten(2, (3, 2, 32)).permute(2, 0, 3, 1, 4)
            kept[index] = torch.cat([kept[index], torch.stack([k, v])], 3)
            found = F.scaled_dot_product_attention(q, *kept[index]).transpose(1, 2).flatten(2)
            h = h + layer.attention.projection(found)
            h = h + layer.mlp(layer.mlp_norm(h))
        a, b = block.head(block.body.norm(h)).chunk(2, 2)
        tokens.append(z[:, t : t + 1] * torch.exp(-a) - b)
    return torch.cat(tokens, 1)


def masked_diffusion(num_rounds: int = 5) -> str:
    """Our transformer of 196 tokens on both sides. The plain loop masks every pixel with probability t, weighs its nats by
    1 / t and samples by eq. 7 of Sahoo et al. 2024. Ours sorts random numbers to mask an exact count of pixels."""
    net = partial(ImageTransformer, hidden_channels=64, num_blocks=4, num_heads=4)
    ours = MaskedDiffusion(BINARY, net=net, sampler=Unmasking(nfe=UNMASKING_STEPS))

    def logits(z: Tensor, t: Tensor) -> Tensor:
        return ours.network(ours.embedding(z).permute(0, 3, 1, 2), t)  # (N, 2, 28, 28)

    def log_prob(x: Tensor) -> Tensor:
        levels, t = x[:, 0].long(), (torch.arange(len(x)) + torch.rand(len(x))) / len(x)
        masked = torch.rand(levels.shape) < t[:, None, None]
        nats = F.cross_entropy(logits(levels.masked_fill(masked, 2), t), levels, reduction="none")
        return -(nats * masked).sum((1, 2)) / t

    def sampled() -> Tensor:
        z = torch.full((ROWS, 28, 28), 2)
        for step in range(UNMASKING_STEPS, 0, -1):
            t = step / UNMASKING_STEPS
            probs = logits(z, torch.full((ROWS,), t)).softmax(1).movedim(1, -1)
            drawn = torch.multinomial(probs.flatten(0, 2), 1).view(z.shape)
            shown = (z == 2) & (torch.rand(z.shape) < 1.0 / step)  # (t - s) / t
            z = torch.where(shown, drawn, z)
        return z

    x = torch.randint(2, (ROWS, *BINARY.shape), dtype=torch.uint8)
    what = f"{ROWS} samples in {UNMASKING_STEPS} steps"
    samples = Pair(what, still(ours, lambda: ours.sample(ROWS)), still(ours, sampled))
    return compared("masked_diffusion", "plain PyTorch", [*likelihoods(ours, ours, log_prob, x), samples], num_rounds)


class PlainD3PM(nn.Module):
    """The Gaussian chain by its matrices, a network with logistic heads, and both posteriors in full (Austin et al. 2021)."""

    def __init__(self, embedding: nn.Module, network: nn.Module, chain: Gaussian) -> None:
        super().__init__()
        self.embedding, self.network = embedding, network
        self.steps, self.products = chain.steps, chain.products

    def probs(self, x_t: Tensor, t: Tensor) -> Tensor:
        """p(x_0 | x_t) (N, D, 256) of states (N, D)."""
        states = x_t.view(-1, 28, 28)
        value = states[:, None] / 127.5 - 1.0
        mean, log_scale = self.network(
            torch.cat([self.embedding(states).permute(0, 3, 1, 2), value], 1), t / CHAIN_STEPS
        ).chunk(2, 1)
        mean, scale = (value + mean).flatten(1)[..., None], log_scale.clamp(-7.0, 3.0).exp().flatten(1)[..., None]
        edges = (torch.arange(1, 256) * 2.0 - 1.0) / 255.0 - 1.0
        below = torch.sigmoid((edges - mean) / scale)
        return torch.diff(below, prepend=torch.zeros_like(mean), append=torch.ones_like(mean))

    def log_posterior(self, x_t: Tensor, p: Tensor, t: Tensor) -> Tensor:
        """log q(x_{t-1} | x_t, x_0), x_0 with the distribution p (eq. 3 and 4)."""
        seen = self.steps[t].mT[torch.arange(len(t))[:, None], x_t]
        return (seen.clamp_min(1e-18).log() + (p @ self.products[t - 1]).clamp_min(1e-18).log()).log_softmax(-1)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The bound and the cross-entropy of x_0, (N,) nats each, times T."""
        x_0 = x.flatten(1).long()
        t, first = torch.randint(1, CHAIN_STEPS + 1, (len(x),)), F.one_hot(x_0, 256).float()
        x_t = torch.multinomial((first @ self.products[t]).flatten(0, 1), 1).view(x_0.shape)
        p = self.probs(x_t, t)
        own, model = self.log_posterior(x_t, first, t), self.log_posterior(x_t, p, t)
        entropy = -p.gather(2, x_0[..., None]).clamp_min(1e-12).log().sum((1, 2))
        return -CHAIN_STEPS * (own.exp() * (own - model)).sum((1, 2)), CHAIN_STEPS * entropy

    def sample(self) -> Tensor:
        x = torch.randint(256, (FEW, 784))
        for step in range(CHAIN_STEPS, 0, -1):
            t = torch.full((FEW,), step)
            probs = self.log_posterior(x, self.probs(x, t), t).exp()
            x = torch.multinomial(probs.flatten(0, 1), 1).view(x.shape)
        return x


def d3pm(num_rounds: int = 3) -> str:
    """Our U-Net on both sides: 25 steps of the Gaussian chain of 256 levels, logistic heads."""
    ours = D3PM(GREY, net=NET, num_steps=CHAIN_STEPS, sampler=ReverseChain(nfe=None))
    theirs = PlainD3PM(ours.embedding, ours.network, ours.chain)

    def loss(x: Tensor) -> Tensor:
        bound, entropy = theirs.terms(x)
        return bound - ours.auxiliary * entropy

    x = torch.randint(256, (FEW, *GREY.shape), dtype=torch.uint8)
    what = f"{FEW} samples in {CHAIN_STEPS} steps"
    samples = Pair(what, still(ours, lambda: ours.sample(FEW)), still(ours, theirs.sample))
    return compared("d3pm", "plain PyTorch", [*likelihoods(ours, ours, loss, x), samples], num_rounds)
