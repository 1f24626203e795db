"""Ways from one code to another, and how even they are."""

from collections.abc import Callable

import torch
from torch import Tensor

Way = Callable[[Tensor, Tensor, float], Tensor]  # two codes (N, D) and t in [0, 1] to a code
EPSILON = 1e-4  # of the speed (Karras et al. 2019, arXiv 1812.04948, eq. 3)
PLACES = 10  # times at which the speed is measured


def lerp(first: Tensor, last: Tensor, t: float) -> Tensor:
    """(1 - t) z_0 + t z_1."""
    return torch.lerp(first, last, t)


def slerp(first: Tensor, last: Tensor, t: float) -> Tensor:
    """[sin((1 - t) w) z_0 + sin(t w) z_1] / sin w, w the angle between them (White 2016, arXiv 1609.04468); lerp if w is 0."""
    one, two = first.double(), last.double()
    cosine = (one * two).sum(1) / (one.norm(dim=1) * two.norm(dim=1)).clamp_min(1e-12)
    angle = cosine.clamp(-1.0, 1.0).arccos()[:, None]
    flat = angle.sin().abs() < 1e-6
    sine = torch.where(flat, torch.ones_like(angle), angle.sin())
    around = (((1.0 - t) * angle).sin() * one + (t * angle).sin() * two) / sine
    return torch.where(flat, torch.lerp(one, two, t), around).to(first.dtype)


WAYS: dict[str, Way] = {"slerp": slerp, "lerp": lerp}


def speeds(see: Callable[[float], Tensor]) -> Tensor:
    """|f(t + eps) - f(t)| / eps at even times, (PLACES, N). see: a time in [0, 1] to features (N, F).

    Their mean over the times is the length of the path in the features.
    """
    found = []
    for t in ((torch.arange(PLACES, dtype=torch.float64) + 0.5) / PLACES).tolist():
        here, there = see(t), see(t + EPSILON)
        found.append((there.double() - here.double()).norm(dim=1) / EPSILON)
    return torch.stack(found)
