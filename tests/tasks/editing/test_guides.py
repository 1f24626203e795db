"""Guides: blocks of colour, and pictures of a user's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genarena.tasks.editing import guides


def test_blocks_have_the_mean_of_their_pixels() -> None:
    x = torch.rand(3, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    found = guides.blocks(x)
    assert found.shape == x.shape and torch.equal(found[0, 1, 4:8, 8:12], found[0, 1, 4, 8].expand(4, 4))
    assert found[0, 1, 4, 8].item() == pytest.approx(x[0, 1, 4:8, 8:12].mean().item())
    with pytest.raises(ValueError, match="guides=blocks: 8x10 pixels"):
        guides.blocks(x[..., :10])


def test_a_picture_is_cut_resized_and_made_grey(tmp_path: Path) -> None:
    array = np.zeros((8, 16, 3), np.uint8)
    array[:, 4:12] = (255, 0, 0)  # the centre
    Image.fromarray(array).save(tmp_path / "wide.png")
    colour = guides.read(str(tmp_path / "wide.png"), (3, 8, 8))
    assert colour.shape == (1, 3, 8, 8) and (colour[0, 0] == 1).all() and (colour[0, 1:] == -1).all()
    grey = guides.read(str(tmp_path / "wide.png"), (1, 4, 4))
    middle = grey[..., 1:3]  # the bicubic filter reaches over the edge of the red part
    assert torch.allclose(middle, torch.full_like(middle, 76 / 127.5 - 1.0), atol=0.01)  # 0.299 of 255
    assert len(guides.digest(str(tmp_path / "wide.png"))) == 8


def test_what_is_no_guide_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8)).save(tmp_path / "clear.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, said in (("clear", "transparent"), ("text", "no picture that can be read"), ("none", "No such file")):
        with pytest.raises(ValueError, match=said):
            guides.check(str(tmp_path / f"{name}.png"), 1)
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    guides.check(str(tmp_path / "grey.png"), 3)
    with pytest.raises(ValueError, match="2 channels"):
        guides.check(str(tmp_path / "grey.png"), 2)
