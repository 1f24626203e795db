"""The list of degradations, and what fits which images."""

import pytest
import torch

from genarena.spec import DataSpec
from genarena.tasks.linear.degradations import NAMES, degradation, names, refusal


def test_all_are_there_by_name() -> None:
    assert names(DataSpec((3, 32, 32), 256)) == NAMES and len(NAMES) == 10
    assert names(DataSpec((1, 28, 28), 256)) == NAMES[:-1]
    assert names(DataSpec((1, 8, 8), 17)) == tuple(name for name in NAMES[:-1] if "blur" not in name)
    assert names(DataSpec((1, 30, 30), 256)) == tuple(name for name in NAMES[:-1] if name != "sr4")
    assert names(DataSpec((8,), None)) == ()
    for name in NAMES:
        made = degradation(name)
        assert made.name == name and made.sigma == {"denoise_0.1": 0.1, "denoise_0.25": 0.25}.get(name, 0.05)


def test_what_is_hidden() -> None:
    contents = [bytes([k]) for k in range(200)]

    def m(name: str) -> torch.Tensor:
        return degradation(name).operator((3, 28, 28), contents, 0).observed

    assert (~m("inpaint_center")).sum() == 3 * 14 * 14 and not m("inpaint_center")[0, :, 7:21, 7:21].any()
    assert (~m("inpaint_half")).sum() == 3 * 14 * 28 and not m("inpaint_half")[0, :, 14:].any()
    random = m("inpaint_random")
    assert torch.equal(random[:, 0], random[:, 1]) and abs((~random).double().mean() - 0.7) < 0.005
    assert not torch.equal(random[0], random[1])


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("sr4", (1, 30, 30), "sr4: blocks of 4 x 4: do not divide images of 30 x 30"),
        ("colorize", (1, 28, 28), "colorize: needs images with 3 channels, and these have 1"),
        ("blur_motion", (1, 8, 8), "blur_motion: a kernel of 9 x 9: larger than images of 8 x 8"),
        ("sr2", (8,), "sr2: needs images (C, H, W), and the shape is (8,)"),
        ("inpaint_half", (1, 1, 8), "inpaint_half: needs images of at least 2 x 2 pixels, and these have 1 x 8"),
        ("inpaint_halff", (1, 8, 8), "inpaint_halff: there is no such degradation; did you mean inpaint_half?"),
        ("denoise_2", (1, 8, 8), "denoise_2: expected denoise_<sigma>, with sigma above 0, at most 1"),
        ("denoise_loud", (1, 8, 8), "denoise_loud: expected denoise_<sigma>, with sigma above 0, at most 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(name: str, shape: tuple[int, ...], said: str) -> None:
    assert refusal(name, shape).startswith(said) and "\n" not in refusal(name, shape)
    assert refusal("denoise_0.1", (1, 8, 8)) == ""
