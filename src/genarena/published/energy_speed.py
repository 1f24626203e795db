"""Energy-based models against the same in plain PyTorch: their chains, their losses, their buffers."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.energy.ebm import EBM
from genarena.models.energy.rbm import RBM, Gibbs
from genarena.published.alternation import Pair, compared, step, still
from genarena.spec import Batch, DataSpec

BINARY, GREY = DataSpec((1, 28, 28), 2), DataSpec((1, 28, 28), 256)
HIDDEN, CHAINS, TURNS, DRAWN = 256, 128, 5, 100  # units, chains, turns between two steps, turns to a sample
ROWS, STEPS, KEPT, RESTART, STEP_SIZE, CLAMP, NOISE = 64, 10, 8192, 0.05, 0.018, 0.3, 0.3  # of conf/model/ebm.yaml


class PlainRBM(nn.Module):
    """Binary units in two layers, and persistent chains."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.01 * torch.randn(784, HIDDEN))
        self.visible_bias, self.hidden_bias = nn.Parameter(torch.zeros(784)), nn.Parameter(torch.zeros(HIDDEN))
        self.chains = torch.rand(CHAINS, 784).bernoulli()

    def free_energy(self, v: Tensor) -> Tensor:
        return -(v @ self.visible_bias + F.softplus(F.linear(v, self.weight.T, self.hidden_bias)).sum(1))

    @torch.no_grad()
    def walked(self, v: Tensor, turns: int) -> Tensor:
        for _ in range(turns):
            h = torch.sigmoid(F.linear(v, self.weight.T, self.hidden_bias)).bernoulli()
            v = torch.sigmoid(F.linear(h, self.weight, self.visible_bias)).bernoulli()
        return v

    def loss(self, v: Tensor) -> Tensor:
        self.chains = self.walked(self.chains, TURNS)
        return self.free_energy(v).mean() - self.free_energy(self.chains).mean()


def rbm(num_rounds: int = 15) -> str:
    """Persistent contrastive divergence."""
    ours = RBM(BINARY, num_hidden=HIDDEN, num_chains=CHAINS, gibbs_steps=TURNS, sampler=Gibbs(steps=DRAWN))
    theirs, x = PlainRBM(), torch.randint(2, (CHAINS, *BINARY.shape), dtype=torch.uint8)
    ours.observe(Batch(x))
    v = x.flatten(1).float()
    drawn = still(theirs, lambda: theirs.walked(torch.rand(CHAINS, 784).bernoulli(), DRAWN))
    pairs = [
        Pair(
            f"a training step on {CHAINS} images",
            step(ours, lambda: ours.loss(Batch(x))["loss"]),
            step(theirs, lambda: theirs.loss(v)),
        ),
        Pair(f"{CHAINS} samples in {DRAWN} turns", still(ours, lambda: ours.sample(CHAINS)), drawn),
    ]
    return compared("rbm", "plain PyTorch", pairs, num_rounds)


def ebm(num_rounds: int = 9) -> str:
    """Our network on both sides: Langevin chains from a buffer, the gap of the energies and their penalty."""
    ours = EBM(GREY)
    x = torch.randint(256, (ROWS, *GREY.shape), dtype=torch.uint8)
    pairs = [
        Pair(
            f"a training step on {ROWS} images",
            step(ours, lambda: ours.loss(Batch(x))["loss"]),
            step(ours, _plain_loss(ours.net, 28.0, x)),
        ),
    ]
    return compared("ebm", "plain PyTorch", pairs, num_rounds)


def _walked(network: nn.Module, scale: float, v: Tensor) -> Tensor:
    """Chains of exp(-scale f(v) - |v|^2 / 2), of which only the point of each step is a variable."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for _ in range(STEPS):
        with torch.enable_grad():
            v = v.detach().requires_grad_()
            energy = scale * network(v).sum() + 0.5 * v.square().sum()
            (slope,) = torch.autograd.grad(energy, v)
        v = v.detach() - (STEP_SIZE * slope).clamp(-CLAMP, CLAMP) + (2.0 * STEP_SIZE) ** 0.5 * torch.randn_like(v)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return v


def _plain_loss(network: nn.Module, scale: float, x: Tensor) -> Callable[[], Tensor]:
    buffer = torch.randn(KEPT, *GREY.shape)

    def loss() -> Tensor:
        v = x / 127.5 - 1.0
        v = v + NOISE * torch.randn_like(v)
        index = torch.randint(KEPT, (ROWS,))
        afresh = torch.rand(ROWS, 1, 1, 1) < RESTART
        fake = _walked(network, scale, torch.where(afresh, torch.randn_like(v), buffer[index]))
        buffer[index] = fake
        real_output, fake_output = network(torch.cat([v, fake])).chunk(2)
        penalty = real_output.square().mean() + fake_output.square().mean()
        return real_output.mean() - fake_output.mean() + 0.01 * penalty

    return loss
