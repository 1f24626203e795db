"""Floors on MNIST and Fashion-MNIST against values that were measured with other code.

The 200 test images are those of that measurement. Not compared: random masks, which are others there; the motion blur, whose
kernel there is a line of whole pixels (with that line LMMSE is within .02 dB); A^+ of blurs, whose cutoff there is unknown.
Total variation may be better, because its weight is chosen on validation images.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from genarena.data.base import ArenaDataModule
from genarena.data.fashion_mnist import FashionMNIST
from genarena.data.mnist import MNIST
from genarena.spec import DataSpec
from genarena.statistics.image_quality import psnr, ssim
from genarena.tasks.floors import every
from genarena.tasks.floors.nearest import Nearest, TenNearest
from genarena.tasks.linear.degradations import degradation
from genarena.tasks.restoring import restored
from genarena.tasks.restoring.images import Images, to_8_bit

SPEC = DataSpec((1, 28, 28), 256)
NEAREST = 20_000  # training images that were searched there
CLASSICAL = {"inpaint_center": "biharmonic", "sr2": "bicubic", "sr4": "bicubic"}
# LMMSE, its draw, A^+ (masks: the mean image in the hole), nearest, mean of ten nearest, classical: PSNR, or PSNR/SSIM
MEASURED = {
    MNIST: {
        "inpaint_center": "15.97/.525 13.85 13.61/.297 14.01/.554 16.24/.617 13.39/.375",
        "inpaint_half": "16.62/.634 14.31 14.53 14.12/.618 16.52/.680",
        "sr2": "21.72/.797 19.09 17.64 15.99 18.57/.789 20.22/.770",
        "sr4": "16.04/.568 13.64 13.79 15.04/.655 17.37/.730 14.55/.423",
        "blur_gaussian": "20.13/.751 17.69 - 15.75 18.16/.768",
        "denoise_0.1": "26.18/.842 23.52 22.67 16.14 18.70",
        "denoise_0.25": "20.96/.762 18.38 14.87 16.02 18.58/.786",
    },
    FashionMNIST: {
        "inpaint_center": "21.90/.658 18.63 16.22 16.86 18.97 18.14",
        "inpaint_half": "18.12/.670 15.20 13.59 15.25 17.49",
        "sr2": "20.38 17.60 17.89 17.14 19.12 18.92",
        "sr4": "17.30 14.60 14.90 16.35 18.45 15.81",
        "blur_gaussian": "19.52 16.83 - 16.70 18.67",
        "denoise_0.1": "24.41 21.62 21.61 17.42 19.34",
        "denoise_0.25": "20.14 17.44 14.21 17.29 19.22",
    },
}
TOTAL_VARIATION = {MNIST: (26.50, 19.91), FashionMNIST: (24.90, 19.43)}
DRAW, NUMBER = 0.2, 0.15  # dB: one draw differs from another; nearest images differ with the choice of 20,000 in 60,000


def images(data: ArenaDataModule) -> Images:
    chosen = data.test[torch.from_numpy(np.random.default_rng(1).permutation(10_000)[:200])]
    return Images(chosen.x.double() / 255, [image.numpy().tobytes() for image in chosen.x])


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(MEASURED))
def test_the_floors_are_those_measured_elsewhere(kind: type[ArenaDataModule], shared_data: Path) -> None:
    data = kind(spec=SPEC, root=str(shared_data))
    data.setup("fit")
    test, val = images(data), Images.of(data.val, 100, SPEC)
    floors = {floor.name: floor for floor in every.of_data(data)}
    few = floors["fill"].train[:NEAREST]
    for case, cells in MEASURED[kind].items():
        problem = test.observed(degradation(case), 0)
        is_mask = case.startswith("inpaint")
        found = [
            (floors["lmmse"].restore(problem, 0.0), 0.1),
            (floors["lmmse"].draw(problem), DRAW),
            (floors["fill"].restore(problem, 0.0) if is_mask else problem.operator.pseudo_inverse(problem.y), 0.1),
            (Nearest(few).restore(problem, 0.0), NUMBER),
            (TenNearest(few).restore(problem, 0.0), NUMBER),
        ]
        if case in CLASSICAL:
            found.append((floors[CLASSICAL[case]].restore(problem, 0.0), 0.1))
        for place, ((x, tolerance), cell) in enumerate(zip(found, cells.split(), strict=True)):
            values = {"psnr": psnr(to_8_bit(x), test.x), "ssim": ssim(to_8_bit(x), test.x)}
            for name, text in zip(("psnr", "ssim"), cell.split("/"), strict=False):
                if text != "-":
                    gap = values[name].mean().item() - float(text)
                    assert abs(gap) < {"psnr": tolerance, "ssim": 0.01}[name], (case, place, name, gap)
    for sigma, measured in zip((0.1, 0.25), TOTAL_VARIATION[kind], strict=True):
        found = restored.with_floor(floors["total_variation"], test, val, degradation(f"denoise_{sigma}"), 0, 1)
        assert -0.1 < psnr(to_8_bit(found.mean), test.x).mean() - measured < 0.3
