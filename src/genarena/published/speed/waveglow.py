"""A training step and the synthesis of WaveGlow against the module as its paper has it, of the same sizes, in alternation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import remove_parametrizations

from genarena.likelihood import to_amplitudes
from genarena.models.flow.waveglow import WaveGlow
from genarena.models.vocoding import in_chunks
from genarena.published.speed.alternation import medians, step
from genarena.spec import Batch, DataSpec
from genarena.statistics import mel

GROUP, STEPS, LAYERS, WIDTH = 8, 6, 6, 32  # the sizes of conf/model/waveglow.yaml


class PlainCoupling(nn.Module):
    """Gated convolutions of one half, as sec. 2.2 of arXiv 1811.00002 describes them, with one convolution of the condition
    for all layers, as the authors' code has it."""

    def __init__(self, half: int) -> None:
        super().__init__()
        self.first = weight_norm(nn.Conv1d(half, WIDTH, 1))
        self.inner = nn.ModuleList(
            weight_norm(nn.Conv1d(WIDTH, 2 * WIDTH, 3, dilation=2**k, padding=2**k)) for k in range(LAYERS)
        )
        self.context = weight_norm(nn.Conv1d(mel.BANDS, 2 * WIDTH * LAYERS, 1))
        self.outer = nn.ModuleList(
            weight_norm(nn.Conv1d(WIDTH, (1 if k == LAYERS - 1 else 2) * WIDTH, 1)) for k in range(LAYERS)
        )
        self.last = nn.Conv1d(WIDTH, 2 * half, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        h, total = self.first(x), 0.0
        for inner, local, outer in zip(self.inner, self.context(context).chunk(LAYERS, 1), self.outer, strict=True):
            filters, gates = (inner(h) + local).chunk(2, 1)
            out = outer(torch.tanh(filters) * torch.sigmoid(gates))
            if out.shape[1] > WIDTH:
                h = h + out[:, :WIDTH]
            total = total + out[:, -WIDTH:]
        return self.last(total).chunk(2, 1)


class PlainWaveGlow(nn.Module):
    """Six steps, and two channels leave after the fourth. The mel is upsampled to the rate of groups, as ours is: the paper's
    640 channels of it would make this three times as slow as ours, not the module."""

    def __init__(self) -> None:
        super().__init__()
        self.upsampling = nn.ConvTranspose1d(mel.BANDS, mel.BANDS, mel.WINDOW // GROUP, mel.HOP // GROUP)
        widths = [GROUP - 2 * (k // 4) for k in range(STEPS)]
        self.mixings = nn.ParameterList(torch.linalg.qr(torch.randn(width, width))[0] for width in widths)
        self.couplings = nn.ModuleList(PlainCoupling(width // 2) for width in widths)

    def local(self, mels: Tensor, num_groups: int) -> Tensor:
        """(N, 80, T / 8)."""
        return self.upsampling(mels)[:, :, :num_groups]

    def loss(self, x: Tensor, mels: Tensor) -> Tensor:
        """Eq. 10 with sigma 1, of amplitudes (N, T)."""
        context, log_det, left = self.local(mels, x.shape[1] // GROUP), 0.0, []
        h = x.unfold(1, GROUP, GROUP).mT
        for k, (mixing, coupling) in enumerate(zip(self.mixings, self.couplings, strict=True)):
            if k == 4:
                left.append(h[:, :2])
                h = h[:, 2:]
            h = F.conv1d(h, mixing[:, :, None])
            log_det = log_det + len(h) * h.shape[2] * torch.linalg.slogdet(mixing)[1]
            kept, moved = h.chunk(2, 1)
            shift, log_scale = coupling(kept, context)
            h = torch.cat([kept, moved * log_scale.exp() + shift], 1)
            log_det = log_det + log_scale.sum()
        z = torch.cat([*left, h], 1)
        return (0.5 * z.square().sum() - log_det) / x.numel()

    @torch.no_grad()
    def synthesise(self, mels: Tensor) -> Tensor:
        """(N, T)."""
        num_groups = (mels.shape[2] - 1) * mel.HOP // GROUP
        context = self.local(mels, num_groups)
        noise = 0.6 * torch.randn(len(mels), GROUP, num_groups)
        h = noise[:, 2:]
        for k in reversed(range(STEPS)):
            kept, moved = h.chunk(2, 1)
            shift, log_scale = self.couplings[k](kept, context)
            h = F.conv1d(
                torch.cat([kept, (moved - shift) * (-log_scale).exp()], 1), self.mixings[k].inverse()[:, :, None]
            )
            if k == 4:
                h = torch.cat([noise[:, :2], h], 1)
        return h.mT.flatten(1)

    def without_weight_norm(self) -> "PlainWaveGlow":
        """For synthesis, as its users do."""
        for part in self.modules():
            if hasattr(part, "parametrizations"):
                remove_parametrizations(part, "weight")
        return self.eval()


def waveglow(num_rounds: int = 9) -> str:
    """Batches of 4 x 8,192 samples with mels, and 4 seconds of synthesis; `whitening=0` is the same map as the plain one."""
    torch.manual_seed(0)
    spec = DataSpec((1, 8192), 65_536, condition="mel", sample_rate=22_050)
    models = {"whitening": WaveGlow(spec, whitening=192), "genarena": WaveGlow(spec), "plain": PlainWaveGlow()}
    batch = Batch((32_768 + 3_000 * torch.randn(4, 1, 8192)).int(), -5.5 + 2.0 * torch.randn(4, mel.BANDS, 33))
    amplitudes = to_amplitudes(batch.x[:, 0], 65_536)
    losses = {name: lambda model=model: model.loss(batch)["loss"] for name, model in models.items()}
    losses["plain"] = lambda: models["plain"].loss(amplitudes, batch.y)
    trained = medians({name: step(models[name], loss) for name, loss in losses.items()}, num_rounds)
    models["plain"].without_weight_norm()
    long = -5.5 + 0.5 * torch.randn(1, mel.BANDS, 345)
    noise = 0.6 * torch.randn(1, 1, 344 * mel.HOP)
    calls = {name: lambda model=model: in_chunks(model.eval(), long, noise, 344) for name, model in models.items()}
    calls["plain"] = lambda: models["plain"].synthesise(long)
    made = medians(calls, num_rounds)
    length = 344 * mel.HOP / 22_050
    return "\n".join(
        f"waveglow, {what}: "
        + ", ".join(f"{name} {1e3 * times[name]:.0f} ms ({times['plain'] / times[name]:.2f}x)" for name in models)
        + extra
        for what, times, extra in (
            ("a training step", trained, ""),
            (f"{length:.1f} s of sound", made, f"; {length / made['whitening']:.1f} times real time with whitening"),
        )
    )
