"""Autoencoders against pythae or plain PyTorch, with networks of the same sizes, Bernoulli pixels, batches of 128.

The reference is installed by who wants the comparison: nothing of ours needs it.
"""

import io
from collections.abc import Callable
from contextlib import redirect_stdout

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.evaluation.blocks import BLOCK
from genarena.models.base import GenerativeModel
from genarena.models.vae.iwae import IWAE
from genarena.models.vae.vae import VAE
from genarena.models.vae.vae_iaf import VAEIAF
from genarena.models.vae.vamp_vae import VampVAE
from genarena.models.vae.vqvae import VQVAE
from genarena.published.speed.alternation import Pair, compared, step, still
from genarena.spec import Batch, DataSpec

BINARY, ROWS = DataSpec((1, 28, 28), 2), 128
CODE, HIDDEN, DRAWS, COMPONENTS = 32, 512, 5, 64
EACH = 10  # draws of each image of a block
CODES, CODE_SIZE = 64, 16  # of the codebook
CONTEXT, MASKED, FLOWS = 64, 128, 2  # of the posterior with a flow: what its steps are told, units, steps


def vae(num_rounds: int = 9) -> str:
    """Perceptrons of one hidden layer each way."""
    return _perceptrons("vae", "VAE", VAE(BINARY, latent_dim=CODE, perceptron=(HIDDEN,)), {}, num_rounds)


def iwae(num_rounds: int = 9) -> str:
    """The same with five draws in the bound."""
    ours = IWAE(BINARY, num_importance=DRAWS, gradient="plain", latent_dim=CODE, perceptron=(HIDDEN,))
    return _perceptrons("iwae", "IWAE", ours, {"number_samples": DRAWS}, num_rounds)


def vamp_vae(num_rounds: int = 9) -> str:
    """The same with a prior of 64 posteriors."""
    ours = VampVAE(BINARY, num_pseudo_inputs=COMPONENTS, latent_dim=CODE, perceptron=(HIDDEN,))
    return _perceptrons("vamp_vae", "VAMP", ours, {"number_components": COMPONENTS}, num_rounds)


def _perceptrons(name: str, other: str, ours: VAE, more: dict[str, int], num_rounds: int) -> str:
    try:
        from pythae import models
    except ImportError:
        return f"{name}: needs the reference, `pip install pythae`"
    options = {"input_dim": BINARY.shape, "latent_dim": CODE, "reconstruction_loss": "bce"}
    config = getattr(models, f"{other}Config")(**options, **more)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * CODE))
    back = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 784), nn.Sigmoid())
    theirs = getattr(models, other)(config, *_wrapped(layers, nn.Sequential(back, nn.Unflatten(1, BINARY.shape)), True))
    x = torch.randint(2, (ROWS, *BINARY.shape), dtype=torch.uint8)
    floats = {"data": x.float()}

    def their_bound() -> float:
        with redirect_stdout(io.StringIO()):  # where it prints its progress
            return theirs.get_nll(floats["data"][:1], 100)

    pairs = [
        _step(ours, lambda: ours.loss(Batch(x))["loss"], theirs, floats),
        Pair(
            "the bound of one image, 100 draws",
            still(ours, lambda: ours.log_prob(x[:1], num_samples=100)),
            still(theirs, their_bound),
        ),
    ]
    if other != "VAMP":  # its samples are those of another class
        drawn = still(theirs, lambda: torch.bernoulli(theirs.decoder(torch.randn(ROWS, CODE))["reconstruction"]))
        pairs.append(Pair(f"{ROWS} samples", still(ours, lambda: ours.sample(ROWS)), drawn))
    return compared(name, "pythae", pairs, num_rounds)


def vqvae(num_rounds: int = 9) -> str:
    """Our convolutions on both sides, averaged codes; theirs has squared errors in place of Bernoulli pixels."""
    try:
        from pythae import models
    except ImportError:
        return "vqvae: needs the reference, `pip install pythae`"
    ours, same = (VQVAE(BINARY, num_codes=CODES, dim=CODE_SIZE) for _ in range(2))
    config = models.VQVAEConfig(input_dim=BINARY.shape, latent_dim=CODE_SIZE, num_embeddings=CODES, use_ema=True)
    theirs = models.VQVAE(config, *_wrapped(same.encoder, same.decoder, False))
    x = torch.randint(2, (ROWS, *BINARY.shape), dtype=torch.uint8)
    ours.observe(Batch(x))
    pair = _step(ours, lambda: ours.loss(Batch(x))["loss"], theirs, {"data": x.float()})

    def run() -> None:
        pair.ours()
        ours.after_step()

    return compared("vqvae", "pythae", [pair._replace(ours=run)], num_rounds)


class PlainStep(nn.Module):
    """A step of an inverse autoregressive flow: a perceptron of two masked layers, which are told of the context too."""

    def __init__(self) -> None:
        super().__init__()
        inputs, units = torch.arange(1, CODE + 1), 1 + torch.arange(MASKED) * (CODE - 1) // MASKED
        self.first, self.last = nn.Linear(CODE, MASKED), nn.Linear(MASKED, 2 * CODE)
        self.told = nn.ModuleList(nn.Linear(CONTEXT, size, bias=False) for size in (MASKED, 2 * CODE))
        self.register_buffer("into", (units[:, None] >= inputs).float())
        self.register_buffer("out_of", (inputs[:, None] > units).float().repeat(2, 1))

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The next z, and the logarithm of the determinant (N,)."""
        hidden = F.relu(F.linear(z, self.first.weight * self.into, self.first.bias) + self.told[0](h))
        outputs = F.linear(hidden, self.last.weight * self.out_of, self.last.bias) + self.told[1](h)
        m, gate = outputs.chunk(2, 1)
        s = torch.sigmoid(gate + 2.0)
        return (s * z + (1.0 - s) * m).flip(1), F.logsigmoid(gate + 2.0).sum(1)


class PlainVAEIAF(nn.Module):
    """Kingma et al. 2016 (arXiv 1606.04934), algorithm 1."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * CODE + CONTEXT))
        self.decoder = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 784))
        self.flow = nn.ModuleList(PlainStep() for _ in range(FLOWS))

    def log_weights(self, x: Tensor, num_draws: int = 1) -> Tensor:
        """log p(x|z) p(z) / q(z|x) of binary x (N, 784), each drawn so often in a row; without log(2 pi), which cancels."""
        outputs = self.encoder(2.0 * x - 1.0).repeat_interleave(num_draws, 0)
        mean, log_var, h = outputs.split((CODE, CODE, CONTEXT), 1)
        eps = torch.randn_like(mean)
        z, log_q = mean + (0.5 * log_var).exp() * eps, -0.5 * (eps**2 + log_var).sum(1)
        for step_of_flow in self.flow:
            z, log_det = step_of_flow(z, h)
            log_q = log_q - log_det
        pixels = x.repeat_interleave(num_draws, 0)
        errors = F.binary_cross_entropy_with_logits(self.decoder(z), pixels, reduction="none")
        return -errors.sum(1) - 0.5 * (z**2).sum(1) - log_q

    def sample(self, num: int) -> Tensor:
        return torch.bernoulli(torch.sigmoid(self.decoder(torch.randn(num, CODE))))


def vae_iaf(num_rounds: int = 9) -> str:
    """The perceptrons of `vae`, and a flow. That of pythae has no context, so plain PyTorch stands in its place."""
    ours = VAEIAF(
        BINARY, num_steps=FLOWS, flow_hidden=(MASKED,), context_dim=CONTEXT, latent_dim=CODE, perceptron=(HIDDEN,)
    )
    return against("vae_iaf", ours, PlainVAEIAF(), num_rounds)


def against(name: str, ours: GenerativeModel, plain: nn.Module, num_rounds: int, draws: int = 100) -> str:
    """A training step, the bound of one image, those of a block of an evaluation, and samples."""
    x = torch.randint(2, (ROWS, *BINARY.shape), dtype=torch.uint8)
    v = x.flatten(1).float()
    pairs = [
        Pair(
            f"a training step on {ROWS} images",
            step(ours, lambda: ours.loss(Batch(x))["loss"]),
            step(plain, lambda: -plain.log_weights(v).mean()),
        ),
        Pair(
            f"the bound of one image, {draws} draws",
            still(ours, lambda: ours.log_prob(x[:1], num_samples=draws)),
            still(plain, lambda: plain.log_weights(v[:1], draws).logsumexp(0)),
        ),
        Pair(
            f"the bounds of {BLOCK} images, {EACH} draws each",
            still(ours, lambda: ours.log_prob(x[:BLOCK], num_samples=EACH)),
            still(plain, lambda: plain.log_weights(v[:BLOCK], EACH).view(BLOCK, EACH).logsumexp(1)),
        ),
        Pair(f"{ROWS} samples", still(ours, lambda: ours.sample(ROWS)), still(plain, lambda: plain.sample(ROWS))),
    ]
    return compared(name, "plain PyTorch", pairs, num_rounds)


def _step(ours: GenerativeModel, loss: Callable[[], Tensor], theirs: nn.Module, data: dict[str, Tensor]) -> Pair:
    other = step(theirs, lambda: theirs(data).loss, fused=False)
    return Pair(f"a training step on {ROWS} images", step(ours, loss), other)


def _wrapped(encoder: nn.Module, decoder: nn.Module, is_normal: bool) -> tuple[nn.Module, nn.Module]:
    """As pythae calls them. is_normal: the encoder gives means and log-variances."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = encoder

        def forward(self, x: Tensor) -> ModelOutput:
            if not is_normal:
                return ModelOutput(embedding=self.layers(x))
            mean, log_var = self.layers(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = decoder

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z))

    return Encoder(), Decoder()
