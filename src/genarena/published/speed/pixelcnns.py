"""Models that go pixel by pixel against the same in plain PyTorch: masked kernels, and a whole pass for each pixel drawn."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.models.autoregressive.pixelcnn_pp import PixelCNNPP
from genarena.models.base import GenerativeModel
from genarena.published.speed.alternation import Pair, compared, likelihoods, still
from genarena.spec import DataSpec

GREY, ROWS, DRAWN = DataSpec((1, 28, 28), 256), 32, 2  # images of a step, and of a call of a sampler
WIDTH, BLOCKS, LEVEL, HEAD, MIXTURES = 32, 5, 8, 64, 10  # of conf/model/pixelcnn_pp.yaml
DILATIONS = (1, 2, 4, 8)


class MaskedConv2d(nn.Conv2d):
    """Weights times a mask: rows of a k x k kernel, or columns of a 1 x k one, up to the centre, which `strict` leaves out."""

    def __init__(
        self, before: int, after: int, kernel: int, vertical: bool, strict: bool = False, dilation: int = 1
    ) -> None:
        size, reach = (kernel if vertical else 1, kernel), dilation * (kernel // 2)
        super().__init__(before, after, size, padding=(reach if vertical else 0, reach), dilation=dilation)
        mask, end = torch.ones(size), kernel // 2 + (not strict)
        mask[(slice(end, None), slice(None)) if vertical else (slice(None), slice(end, None))] = 0.0
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding, dilation=self.dilation)


class PlainBlock(nn.Module):
    """A gated layer of both stacks."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.vertical, self.horizontal = (
            MaskedConv2d(WIDTH, 2 * WIDTH, 3, vertical, dilation=dilation) for vertical in (True, False)
        )
        self.link, self.residual = nn.Conv2d(WIDTH, 2 * WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, vertical: Tensor, horizontal: Tensor) -> tuple[Tensor, Tensor]:
        vertical = vertical + gated(self.vertical(vertical))
        return vertical, horizontal + self.residual(gated(self.horizontal(horizontal) + self.link(vertical)))


def gated(x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


class PlainPixelCNN(nn.Module):
    """Levels (N, 1, 28, 28) to logits (N, 256, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(256, LEVEL), nn.Parameter(torch.zeros(1, WIDTH, 28, 28))
        self.vertical, self.horizontal = (
            MaskedConv2d(1 + LEVEL, WIDTH, 7, each, strict=True) for each in (True, False)
        )
        self.blocks = nn.ModuleList(PlainBlock(DILATIONS[index % len(DILATIONS)]) for index in range(BLOCKS))
        self.head = nn.Sequential(nn.Conv2d(BLOCKS * WIDTH, HEAD, 1), nn.ReLU(), nn.Conv2d(HEAD, 256, 1))

    def forward(self, x: Tensor) -> Tensor:
        inputs = torch.cat([x / 127.5 - 1.0, self.embedding(x[:, 0].long()).permute(0, 3, 1, 2)], 1)
        vertical, horizontal, features = self.vertical(inputs) + self.position, self.horizontal(inputs), []
        for block in self.blocks:
            vertical, horizontal = block(vertical, horizontal)
            features.append(horizontal)
        return self.head(torch.cat(features, 1))

    def log_prob(self, x: Tensor) -> Tensor:
        return -F.cross_entropy(self(x), x[:, 0].long(), reduction="none").sum((1, 2))

    def drawn(self, outputs: Tensor) -> Tensor:
        """Levels (N,) from the outputs (N, 256) of a pixel."""
        return torch.multinomial(outputs.softmax(1), 1)[:, 0]


class Shifted(nn.Conv2d):
    """2 x 3 kernel that ends in its own row, or, if `right`, 2 x 2 that ends in its own pixel."""

    def __init__(self, before: int, after: int, right: bool, stride: int = 1) -> None:
        super().__init__(before, after, (2, 2 if right else 3), stride)
        self.sides = (1, 0 if right else 1, 1, 0)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.sides))


class ShiftedUp(nn.ConvTranspose2d):
    """The way back of `Shifted` with stride 2."""

    def __init__(self, right: bool) -> None:
        super().__init__(WIDTH, WIDTH, (2, 2 if right else 3), 2)
        self.first = 0 if right else 1

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., self.first : self.first + 2 * x.shape[3]]


class PlainResidual(nn.Module):
    """A gated residual block; other: channels of what it sees beside its input."""

    def __init__(self, right: bool, other: int) -> None:
        super().__init__()
        self.first, self.second = Shifted(2 * WIDTH, WIDTH, right), Shifted(2 * WIDTH, 2 * WIDTH, right)
        self.link = nn.Conv2d(2 * other, WIDTH, 1) if other else None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        h = self.first(signed_elu(x))
        if other is not None:
            h = h + self.link(signed_elu(other))
        a, b = self.second(signed_elu(h)).chunk(2, 1)
        return x + a * torch.sigmoid(b)


def signed_elu(x: Tensor) -> Tensor:
    return F.elu(torch.cat([x, -x], 1))


class PlainPixelCNNPP(nn.Module):
    """Levels (N, 1, 28, 28) to logits, means and log-scales (N, 30, 28, 28): streams at 28, 14 and 7 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.above, self.row_above = nn.Conv2d(2, WIDTH, (2, 3)), nn.Conv2d(2, WIDTH, (1, 3))
        self.left, self.head = nn.Conv2d(2, WIDTH, (2, 1)), nn.Conv2d(WIDTH, 3 * MIXTURES, 1)
        self.down, self.down_right = (_residuals(3, right, WIDTH * right) for right in (False, True))
        self.up, self.up_right = (_residuals(5, right, WIDTH * (1 + right)) for right in (False, True))
        self.halved, self.halved_right = (
            nn.ModuleList(Shifted(WIDTH, WIDTH, right, 2) for _ in range(2)) for right in (False, True)
        )
        self.doubled, self.doubled_right = (
            nn.ModuleList(ShiftedUp(right) for _ in range(2)) for right in (False, True)
        )

    def forward(self, x: Tensor) -> Tensor:
        inputs = torch.cat([x / 127.5 - 1.0, torch.ones_like(x, dtype=torch.float32)], 1)
        u = F.pad(self.above(F.pad(inputs, (1, 1, 1, 0))), (0, 0, 1, -1))
        v = F.pad(self.row_above(F.pad(inputs, (1, 1))), (0, 0, 1, -1))
        v = v + F.pad(self.left(F.pad(inputs, (0, 0, 1, 0))), (1, -1))
        us, vs = [u], [v]
        for level in range(3):
            u = self.down[level](us[-1])
            v = self.down_right[level](vs[-1], u)
            us, vs = [*us, u], [*vs, v]
            if level < 2:
                us, vs = [*us, self.halved[level](u)], [*vs, self.halved_right[level](v)]
        u, v = us.pop(), vs.pop()
        for index in range(5):  # one at 7 pixels, two at 14, two at 28
            if index in (1, 3):
                u, v = self.doubled[index // 2](u), self.doubled_right[index // 2](v)
            u = self.up[index](u, us.pop())
            v = self.up_right[index](v, torch.cat([u, vs.pop()], 1))
        return self.head(F.elu(v))

    def log_prob(self, x: Tensor) -> Tensor:
        logits, mean, log_scale = self(x).chunk(3, 1)
        centred, log_scale = x / 127.5 - 1.0 - mean, log_scale.clamp_min(-7.0)
        inverse = torch.exp(-log_scale)
        upper, lower, middle = inverse * (centred + 1.0 / 255.0), inverse * (centred - 1.0 / 255.0), inverse * centred
        mass = torch.sigmoid(upper) - torch.sigmoid(lower)
        thin = middle - log_scale - 2.0 * F.softplus(middle) - math.log(127.5)
        inside = torch.where(mass > 1e-5, mass.clamp_min(1e-12).log(), thin)
        ends = torch.where(x == 255, -F.softplus(lower), inside)
        return (torch.where(x == 0, F.logsigmoid(upper), ends) + logits.log_softmax(1)).logsumexp(1).sum((1, 2))

    def drawn(self, outputs: Tensor) -> Tensor:
        """Levels (N,) from the outputs (N, 30) of a pixel."""
        logits, mean, log_scale = outputs.unflatten(1, (3, -1)).unbind(1)
        chosen = torch.multinomial(logits.softmax(1), 1)
        noise = torch.logit(torch.rand(len(outputs), 1).clamp(1e-5, 1.0 - 1e-5))
        value = mean.gather(1, chosen) + log_scale.clamp_min(-7.0).gather(1, chosen).exp() * noise
        return (value.clamp(-1.0, 1.0) * 127.5 + 127.5).round()[:, 0]


def _residuals(number: int, right: bool, other: int) -> nn.ModuleList:
    return nn.ModuleList(PlainResidual(right, other) for _ in range(number))


def pixelcnn(num_rounds: int = 5) -> str:
    """The sizes of the small configuration; our first kernel reaches a row and a column further."""
    return _pixels("pixelcnn", PixelCNN(GREY), PlainPixelCNN(), num_rounds)


def pixelcnn_pp(num_rounds: int = 5) -> str:
    """The sizes of the small configuration."""
    return _pixels("pixelcnn_pp", PixelCNNPP(GREY), PlainPixelCNNPP(), num_rounds)


def _pixels(name: str, ours: GenerativeModel, theirs: nn.Module, num_rounds: int) -> str:
    x = torch.randint(256, (ROWS, *GREY.shape), dtype=torch.uint8)

    def sampled() -> Tensor:
        z = torch.zeros(DRAWN, *GREY.shape, dtype=torch.uint8)
        for row, column in itertools.product(range(28), range(28)):
            z[:, 0, row, column] = theirs.drawn(theirs(z)[:, :, row, column])
        return z

    samples = Pair(f"{DRAWN} samples", still(ours, lambda: ours.sample(DRAWN)), still(theirs, sampled))
    lines = compared(name, "plain PyTorch", likelihoods(ours, theirs, theirs.log_prob, x), num_rounds)
    return lines + "\n" + compared(name, "a pass for each pixel", [samples], 1)
