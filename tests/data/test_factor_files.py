"""Published files of sets with known factors, small ones in the layout of the real ones."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from genarena.data.dsprites import FILE, DSprites
from genarena.data.ground_truth import combinations
from genarena.data.shapes3d import Shapes3D
from genarena.errors import DataError
from genarena.files.download import Published
from genarena.spec import DataSpec

RNG = np.random.default_rng(0)
SPRITES = {"shape": 3, "scale": 2, "orientation": 3, "x": 2, "y": 2}
SHAPES = {"floor_hue": 2, "wall_hue": 2, "object_hue": 2, "scale": 2, "shape": 4, "orientation": 3}


def published(monkeypatch: pytest.MonkeyPatch, kind: type, path: Path, sizes: dict[str, int]) -> None:
    """The set takes this file for the owner's."""
    monkeypatch.setattr(kind, "files", (Published(path.name, hashlib.sha256(path.read_bytes()).hexdigest()),))
    monkeypatch.setattr(kind, "factor_sizes", sizes)
    monkeypatch.setattr(kind, "held_out", (10, 10))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))


def dsprites(root: Path, shuffled: bool = False) -> np.ndarray:
    (root / "dsprites").mkdir(exist_ok=True)
    factors = combinations(torch.arange(72), SPRITES).numpy()
    images = RNG.integers(0, 2, (72, 64, 64), np.uint8)
    images[2 * 4 : 3 * 4] = images[:4]  # orientation 2 of the first shape and scale looks like orientation 0
    classes = np.hstack([np.zeros((72, 1), int), factors[::-1] if shuffled else factors])
    np.savez_compressed(root / "dsprites" / FILE, imgs=images, latents_classes=classes, metadata=np.array("none"))
    return images


def test_dsprites_are_kept_bit_by_bit_and_twins_share_a_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = dsprites(tmp_path)
    published(monkeypatch, DSprites, tmp_path / "dsprites" / FILE, SPRITES)
    data = DSprites(DataSpec((1, 64, 64), 2, 3), root=str(tmp_path), label="scale")
    data.setup()
    whole = data.render(combinations(torch.arange(72), SPRITES))
    assert np.array_equal(whole[:, 0].numpy(), images)
    assert data.spec.num_classes == 2 and int(data.open().max()) + 1 == 68
    where = torch.full((72,), -1)
    for number, name in enumerate(("train", "val", "test")):
        split = getattr(data, name)
        assert torch.equal(split.x[:], data.render(data.factors[name])) and torch.equal(
            split.y, data.factors[name][:, 1]
        )
        rows = (data.factors[name] * torch.tensor([24, 12, 4, 2, 1])).sum(1)
        assert (where[rows] == -1).all()
        where[rows] = number
    assert (where >= 0).all() and torch.equal(where[:4], where[8:12])
    (tmp_path / "cache" / "factors" / "dsprites").rename(tmp_path / "moved")
    again = DSprites(DataSpec((1, 64, 64), 2, 3), root=str(tmp_path), label="scale")
    again.setup()
    assert again.facts == data.facts


def test_dsprites_in_another_order_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dsprites(tmp_path, shuffled=True)
    published(monkeypatch, DSprites, tmp_path / "dsprites" / FILE, SPRITES)
    with pytest.raises(
        DataError, match="latents_classes are not the combinations of shape, scale, orientation, x, y in order"
    ):
        DSprites(DataSpec((1, 64, 64), 2, 3), root=str(tmp_path)).setup()


def test_a_missing_file_names_where_it_is(tmp_path: Path) -> None:
    for kind, spec in ((DSprites, DataSpec((1, 64, 64), 2, 3)), (Shapes3D, DataSpec((3, 64, 64), 256, 4))):
        with pytest.raises(
            DataError, match=f"{kind.name} is not in {tmp_path}/{kind.name}.*put {kind.files[0].file}"
        ) as told:
            kind(spec, root=str(tmp_path), mirror=str(tmp_path / "none")).setup()
        assert kind.page in str(told.value) and "\n" not in str(told.value)


def test_shapes_are_read_in_the_order_of_their_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py, which reads the file of shapes3d")
    (tmp_path / "shapes3d").mkdir()
    path, images = tmp_path / "shapes3d" / "3dshapes.h5", RNG.integers(0, 256, (192, 64, 64, 3), np.uint8)
    values = combinations(torch.arange(192), SHAPES).numpy() * [0.1, 0.1, 0.1, 0.5, 1.0, 30.0] - [0, 0, 0, 0, 0, 30.0]
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = images, values
    published(monkeypatch, Shapes3D, path, SHAPES)
    data = Shapes3D(DataSpec((3, 64, 64), 256, 4), root=str(tmp_path))
    data.setup()
    assert np.array_equal(data.render(combinations(torch.arange(192), SHAPES)).numpy(), images.transpose(0, 3, 1, 2))
    assert torch.equal(data.test.y, data.factors["test"][:, 4]) and data.spec.num_classes == 4
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = images, values[::-1]
    published(monkeypatch, Shapes3D, path, SHAPES)
    with pytest.raises(DataError, match="labels are not the combinations of floor_hue"):
        Shapes3D(DataSpec((3, 64, 64), 256, 4), root=str(tmp_path)).setup()
