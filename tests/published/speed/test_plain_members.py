"""The other sides of `scripts/bench.py` that are written out in plain PyTorch do the work of ours: their losses have the same
mean and the same mean gradient, and their bounds the same mean."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.consistency import Consistency
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.edm import EDM
from genarena.models.diffusion.meanflow import MeanFlow
from genarena.models.diffusion.score_sde import ScoreSDE
from genarena.models.diffusion.shortcut import Shortcut
from genarena.models.diffusion.vdm import VDM
from genarena.models.vae.lvae import LVAE
from genarena.models.vae.vae_iaf import VAEIAF
from genarena.models.vae.vdvae import VDVAE
from genarena.published.speed import diffusions, jumps, ladders, scores, vaes
from genarena.spec import Batch, DataSpec

SPEC, NUM, ROWS = DataSpec((1, 4, 4), 256), 100, 64


class Small(nn.Module):
    """A convolution of 1x1, times a function of the times."""

    def __init__(self, in_channels: int, out_channels: int, *sizes: object) -> None:
        super().__init__()
        self.layer = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        return self.layer(x) * torch.cos(t.flatten(1).sum(1) if t.dim() > 1 else t)[:, None, None, None]


def both(name: str) -> tuple:
    """Our model, and the plain one on its network."""
    options = {"net": Small} if name == "iddpm" or name == "vdm" else {"net": Small, "dequantisation": "none"}
    if name == "iddpm":
        ours = DDPM(SPEC, prediction="eps", **options)
        return ours, diffusions.PlainIDDPM(ours.network)
    if name == "vdm":
        ours = VDM(SPEC, **options)
        return ours, diffusions.PlainVDM(ours.network, ours.shape, ours.gammas, ours.frequencies)
    if name == "edm":
        ours = EDM(SPEC, **options)
        return ours, scores.PlainEDM(ours.network, 5)
    if name == "score_sde":
        ours = ScoreSDE(SPEC, **options)
        return ours, scores.PlainScoreSDE(ours.network, 5)
    if name == "consistency":
        ours = Consistency(SPEC, curriculum=0.0, **options)
        return ours, jumps.PlainConsistency(ours.network, ours.doublings)
    if name == "shortcut":
        ours = Shortcut(SPEC, **options)
        return ours, jumps.PlainShortcut(ours.network)
    ours = MeanFlow(SPEC, **options)
    return ours, jumps.PlainMeanFlow(ours.network)


def of_draws(loss: Callable[[], Tensor], network: nn.Module) -> Tensor:
    """The loss and its gradient (NUM, 1 + number of weights) of so many draws."""
    rows = []
    for _ in range(NUM):
        value = loss()
        gradient = torch.autograd.grad(value, list(network.parameters()))
        rows.append(torch.cat([value.detach()[None], *(part.flatten() for part in gradient)]))
    return torch.stack(rows).double()


def assert_same_mean(first: Tensor, second: Tensor) -> None:
    """Of draws in rows, within five standard errors of the difference, and rounding where nothing is drawn."""
    error = sum(part.var(0) / len(part) for part in (first, second)).sqrt()
    assert ((first.mean(0) - second.mean(0)).abs() <= 5.0 * error + 1e-5 * first.mean(0).abs()).all()


@pytest.mark.parametrize("name", ["iddpm", "edm", "score_sde", "vdm", "consistency", "shortcut", "meanflow"])
def test_plain_losses_of_diffusions(name: str) -> None:
    torch.manual_seed(0)
    ours, plain = both(name)
    x = torch.randint(256, (ROWS, *SPEC.shape), dtype=torch.uint8)
    x_0 = diffusions.to_points(x)
    assert torch.equal(diffusions.to_levels(x_0), x)
    found = [of_draws(loss, ours.network) for loss in (lambda: ours.loss(Batch(x))["loss"], lambda: plain.loss(x_0))]
    assert_same_mean(*found)
    if hasattr(plain, "nats"):
        bounds = (lambda: -ours.log_prob(x).mean(), lambda: plain.nats(x_0).mean())
        with torch.no_grad():
            assert_same_mean(*(torch.stack([bound() for _ in range(NUM)]) for bound in bounds))


def of_codes(name: str) -> tuple:
    """Our model and the plain one, with the same weights."""
    if name == "vdvae":
        ours = VDVAE(DataSpec((1, 4, 4), 2), channels=8, middle_channels=4, z_channels=2, patch=2)
        return ours, ladders.PlainVDVAE(ours.encoder, ours.decoder, ours.output, 2)
    spec, sizes = vaes.BINARY, {"perceptron": (vaes.HIDDEN,)}
    if name == "lvae":
        ours = LVAE(spec, latent_dims=(64, 32), width=256, **sizes)
        return ours, ladders.PlainLVAE()
    return VAEIAF(spec, flow_hidden=(128,), context_dim=64, latent_dim=32, **sizes), vaes.PlainVAEIAF()


@torch.no_grad()
@pytest.mark.parametrize("name", ["vae_iaf", "lvae", "vdvae"])
def test_plain_bounds_of_autoencoders(name: str) -> None:
    torch.manual_seed(0)
    ours, plain = of_codes(name)
    for part in ours.parameters():
        part.add_(0.03 * torch.randn_like(part))
    if name != "vdvae":
        for child, other in plain.named_children():
            for mine, its in zip(getattr(ours, child).parameters(), other.parameters(), strict=True):
                its.copy_(mine)
    if name == "vae_iaf":
        for told in plain.flow:
            for layer in told.told:
                layer.weight.mul_(8.0)  # ours has the root of the size of the context as a factor
    x = torch.randint(2, (1, *ours.spec.shape), dtype=torch.uint8).expand(1000, -1, -1, -1)
    assert_same_mean(ours.log_prob(x), plain.log_weights(x.flatten(1).float()))
    if name != "vae_iaf":  # of which one draw has no closed form
        weights = plain.log_weights(x[:1].flatten(1).float(), 1000)
        assert_same_mean(ours.log_weights(x[:1], num_samples=1000)[:, 0], weights)
