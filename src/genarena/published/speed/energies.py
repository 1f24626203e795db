"""Energy-based models against the same in plain PyTorch: their chains, their losses, their buffers."""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.energy.ebm import EBM
from genarena.models.energy.jem import JEM
from genarena.models.energy.rbm import RBM, Gibbs
from genarena.models.energy.recovery_ebm import Recovery, RecoveryEBM
from genarena.published.speed.alternation import Pair, compared, step, still
from genarena.spec import Batch, Condition, DataSpec
from genarena.training.players import constant

BINARY, GREY = DataSpec((1, 28, 28), 2), DataSpec((1, 28, 28), 256)
HIDDEN, CHAINS, TURNS, DRAWN = 256, 128, 5, 100  # units, chains, turns between two steps, turns to a sample
LABELS, LEVELS, RECOVERED = 10, 6, 16  # of jem; levels of recovery_ebm, and its samples
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
    """Our network on both sides: Langevin chains from a buffer, the gap of the energies and their penalty. Ours keeps chains in
    half precision, draws them without repetition and learns the moments of the data, as the plain loop does not."""
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


def jem(num_rounds: int = 9) -> str:
    """The same with a logit per label, and the cross entropy of the labels."""
    ours = JEM(replace(GREY, condition=Condition("label", LABELS)))
    x, y = torch.randint(256, (ROWS, *GREY.shape), dtype=torch.uint8), torch.randint(LABELS, (ROWS,))
    of_density = _plain_loss(ours.net, 1.0, x)

    def plain_loss() -> Tensor:
        v = x / 127.5 - 1.0
        return of_density() + F.cross_entropy(ours.net.logits(v + NOISE * torch.randn_like(v)), y)

    own = step(ours, lambda: ours.loss(Batch(x, y))["loss"])
    pair = Pair(f"a training step on {ROWS} images", own, step(ours, plain_loss))
    return compared("jem", "plain PyTorch", [pair], num_rounds)


def recovery_ebm(num_rounds: int = 7) -> str:
    """Our network on both sides: Langevin chains of the conditional densities, and the gap of the energies. In place of the
    moments of the data theirs has a mean of 0 and a variance of 1, and it rounds a sample, where ours draws the level."""
    ours = RecoveryEBM(GREY, num_levels=LEVELS, langevin_steps=STEPS, sampler=Recovery(steps=STEPS))
    theirs, x = PlainRecovery(ours), torch.randint(256, (ROWS, *GREY.shape), dtype=torch.uint8)
    ours.observe(Batch(x))
    pairs = [
        Pair(
            f"a training step on {ROWS} images",
            step(ours, lambda: ours.loss(Batch(x))["loss"]),
            step(ours, lambda: theirs.loss(x)),
        ),
        Pair(
            f"{RECOVERED} samples in {LEVELS} times {STEPS} steps",
            still(ours, lambda: ours.sample(RECOVERED)),
            still(ours, lambda: theirs.sample(RECOVERED)),
        ),
    ]
    return compared("recovery_ebm", "plain PyTorch", pairs, num_rounds)


class PlainRecovery:
    """Data with noise on levels t = 0 .. T - 1, and chains from the level above."""

    def __init__(self, model: RecoveryEBM) -> None:
        self.network, self.step_size, self.clamp, self.noise = model.net, model.step_size, CLAMP, model.data_noise
        self.kept, self.spread = model.kept.view(-1, 1, 1, 1), model.spread.view(-1, 1, 1, 1)

    def output(self, v: Tensor, t: Tensor) -> Tensor:
        return self.network(v, F.one_hot(t, LEVELS).float())

    def walked(self, x: Tensor, t: Tensor) -> Tensor:
        s, v = self.spread[t], x
        for _ in range(STEPS):
            with constant(self.network.parameters()), torch.enable_grad():
                v = v.detach().requires_grad_()
                energy = 28.0 * (self.output(v, t) / s.flatten()).sum() + 0.5 * (v.square() / (1.0 - s.square())).sum()
                (slope,) = torch.autograd.grad(energy + 0.5 * ((x - v) / s).square().sum(), v)
            drift = (self.step_size * s.square() * slope).clamp(-self.clamp * s, self.clamp * s)
            v = v.detach() - drift + (2.0 * self.step_size) ** 0.5 * s * torch.randn_like(v)
        return v

    def loss(self, x: Tensor) -> Tensor:
        t = torch.randint(LEVELS, (ROWS,))
        v = x / 127.5 - 1.0
        v = v + self.noise * torch.randn_like(v)
        v = self.kept[t].sqrt() * v + (1.0 - self.kept[t]).sqrt() * torch.randn_like(v)
        real = (1.0 - self.spread[t].square()).sqrt() * v
        fake = self.walked(real + self.spread[t] * torch.randn_like(v), t)
        return (self.output(real, t) - self.output(fake, t)).mean()

    def sample(self, num: int) -> Tensor:
        v = torch.randn(num, *GREY.shape)
        for level in reversed(range(LEVELS)):
            v = self.walked(v, torch.full((num,), level)) / (1.0 - self.spread[level].square()).sqrt()
        return ((v + 1.0) * 127.5).round().clamp(0, 255).byte()


def _walked(network: nn.Module, scale: float, v: Tensor) -> Tensor:
    """Chains of exp(-scale f(v) - |v|^2 / 2), of which only the point of each step is a variable."""
    for _ in range(STEPS):
        with constant(network.parameters()), torch.enable_grad():
            v = v.detach().requires_grad_()
            energy = scale * network(v).sum() + 0.5 * v.square().sum()
            (slope,) = torch.autograd.grad(energy, v)
        v = v.detach() - (STEP_SIZE * slope).clamp(-CLAMP, CLAMP) + (2.0 * STEP_SIZE) ** 0.5 * torch.randn_like(v)
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
