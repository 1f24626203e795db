"""How near restorations are to the truth: PSNR and SSIM, per image.

Restorations are clamped and rounded to 8 bit first, because images are levels.
"""

from torch import Tensor

from genarena.statistics import image_quality
from genarena.tasks.restoring.images import to_8_bit
from genarena.tasks.restoring.records import Score, Scores


def fidelity(x: Tensor, truth: Tensor) -> Scores:
    """Of restorations (N, C, H, W) in [0, 1], not clamped."""
    x = to_8_bit(x)
    return {"psnr": Score(image_quality.psnr(x, truth)), "ssim": Score(image_quality.ssim(x, truth))}
