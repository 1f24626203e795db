"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv 2006.06676).

Differs from the paper: of its transformations those of pixels, geometry and brightness; no filters, noise or cut-outs.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.options.values import Count, Positive, Share


class AdaptiveAugment(nn.Module):
    """Each transformation happens to an image with probability p, which follows how sure D is of real images (sec. 3).

    r = E[sign D(real)] is measured over `interval` calls of `listen`; p rises while r > target and falls below it, at most from
    0 to 1 in `images_to_full` images. p = 0 is the identity.
    flips: also mirrored images, and turns by quarters.
    """

    def __init__(
        self, target: Share = 0.6, images_to_full: Positive = 5e5, interval: Count = 4, flips: bool = True
    ) -> None:
        super().__init__()
        self.target, self.images_to_full, self.interval, self.flips = target, images_to_full, interval, flips
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))  # their sum, since p last moved
        self.register_buffer("heard", torch.zeros((), dtype=torch.int64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def listen(self, real_logits: Tensor) -> None:
        """Logits (N,) of real images, as D saw them in training."""
        self.signs += real_logits.float().sign().sum()
        self.heard += len(real_logits)
        self.calls += 1
        if self.calls >= self.interval:
            step = (self.signs / self.heard - self.target).sign() * self.heard / self.images_to_full
            self.p.copy_((self.p + step).clamp(0.0, 1.0))
            for state in (self.signs, self.heard, self.calls):
                state.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], differentiable in x; what comes from outside repeats the border."""
        if self.p == 0.0:
            return x
        grid = F.affine_grid(
            self.placements(len(x), x.shape[2] / x.shape[3])[:, :2], list(x.shape), align_corners=False
        )
        x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        brightness = self._where(0.2 * torch.randn(len(x), device=x.device), 0.0)
        contrast = self._where((0.5 * math.log(2.0) * torch.randn(len(x), device=x.device)).exp(), 1.0)
        return x * contrast[:, None, None, None] + brightness[:, None, None, None]

    def placements(self, num: int, aspect: float) -> Tensor:
        """Affine maps (num, 3, 3) of places in [-1, 1]^2, from those of the result to those of the image. aspect: H / W."""
        device = self.p.device
        normal, uniform = torch.randn(num, 4, device=device), torch.rand(num, 4, device=device)
        shift = 2.0 * (0.125 * normal[:, :2]) * self._happens(num)[:, None]
        zoom = (0.2 * math.log(2.0) * normal[:, 2] * self._happens(num)).exp()
        stretch = (0.2 * math.log(2.0) * normal[:, 3] * self._happens(num)).exp()
        angle = (2.0 * uniform[:, 0] - 1.0) * math.pi * self._happens(num)
        mirror = torch.ones(num, device=device)
        if self.flips:
            mirror = 1.0 - 2.0 * (uniform[:, 1] < 0.5) * self._happens(num)
            angle = angle + (uniform[:, 2] * 4.0).floor() * (0.5 * math.pi) * self._happens(num)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros(num, device=device)
        rows = [
            torch.stack([zoom * stretch * mirror * cos, -zoom * stretch * mirror * sin * aspect, shift[:, 0]], 1),
            torch.stack([zoom / stretch * sin / aspect, zoom / stretch * cos, shift[:, 1]], 1),
            torch.stack([zero, zero, zero + 1.0], 1),
        ]
        return torch.stack(rows, 1)

    def _happens(self, num: int) -> Tensor:
        """(num,) 1 with probability p, else 0."""
        return (torch.rand(num, device=self.p.device) < self.p).float()

    def _where(self, value: Tensor, otherwise: float) -> Tensor:
        return otherwise + self._happens(len(value)) * (value - otherwise)
