"""From the frames of a mel spectrogram to a condition at each sample, or each group of samples: a transposed convolution.

Prenger, Valle & Catanzaro 2018 (arXiv 1811.00002), sec. 3: a kernel of 1,024 samples every 256.

Differs from the paper: the result can be at the rate of groups of samples at once, with a kernel of 1024 / group. The middle of
the kernel lies on the middle of its frame, sample 256 k, so that a sample depends on the two nearest frames on each side (the
reference code, which cuts only at the end, puts the kernel after it). It starts as linear interpolation between frames and a
random matrix, and not as noise, which would change the condition at every sample.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.spec import MEL_HOP

OVERLAP = 4  # frames that each sample depends on: kernel / hop


class MelUpsampling(nn.Module):
    """(N, in_channels, frames) to (N, out_channels, (frames - 1) * 256 / group); frame k counts for samples 256 k - 512 to
    256 k + 511.

    The transposed convolution is computed as a convolution over frames that gives all samples of a hop at once.
    reach: samples on each side of a place whose frames it depends on.
    Raises ValueError unless `group` divides 256.
    """

    reach = MEL_HOP * OVERLAP // 2

    def __init__(self, in_channels: int, out_channels: int, group: int = 1) -> None:
        super().__init__()
        if group < 1 or MEL_HOP % group:
            raise ValueError(f"group={group}: expected a divisor of {MEL_HOP}, the samples from one frame to the next")
        self.out_channels, self.stride = out_channels, MEL_HOP // group
        self.conv = nn.Conv1d(in_channels, self.stride * out_channels, OVERLAP, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels, 1))
        self._start_linear()

    @torch.no_grad()
    def _start_linear(self) -> None:
        later = torch.arange(self.stride) / self.stride  # shares of the two nearest frames
        shares = torch.stack([torch.zeros(self.stride), 1.0 - later, later, torch.zeros(self.stride)], 1)
        matrix = torch.empty(self.out_channels, self.conv.in_channels)
        nn.init.kaiming_normal_(matrix, nonlinearity="linear")
        self.conv.weight.copy_(torch.einsum("sk,cf->scfk", shares, matrix).flatten(0, 1))

    def forward(self, mel: Tensor) -> Tensor:
        blocks = self.conv(F.pad(mel, (1, 1)))  # (N, stride * out_channels, frames - 1)
        return blocks.unflatten(1, (self.stride, self.out_channels)).permute(0, 2, 3, 1).flatten(2) + self.bias
