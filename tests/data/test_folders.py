"""Sets that are folders of their owners' files: FFHQ, ImageNet, LSUN and the two ImageNets of 32 and 64 pixels."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genarena.data import imagenet64
from genarena.data.base import ArenaDataModule
from genarena.data.ffhq import FFHQ
from genarena.data.imagenet import ImageNet
from genarena.data.imagenet32 import ImageNet32
from genarena.data.imagenet64 import ImageNet64
from genarena.data.lsun import LSUN
from genarena.data.reading import pictures
from genarena.errors import DataError
from genarena.spec import DataSpec

SMALL = DataSpec((3, 16, 16), 256)
RNG = np.random.default_rng(0)


def ready(data: ArenaDataModule) -> ArenaDataModule:
    data.setup()
    return data


def picture(path: Path, level: int, size: tuple[int, int] = (32, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 255 - level, 7)).save(path, "PNG")


def levels(data: ArenaDataModule, name: str) -> list[int]:
    return getattr(data, name).x[:, 0, 0, 0].tolist()


# -- FFHQ --------------------------------------------------------------------------------------------------------------


def test_ffhq_is_split_by_the_numbers_of_its_files(tmp_path: Path) -> None:
    for number in (*range(20), 59_999, 60_000, 69_999):
        picture(tmp_path / "ffhq" / f"{number // 1000 * 1000:05d}" / f"{number:05d}.png", number % 250)
    data = ready(FFHQ(SMALL, root=str(tmp_path), image_size=16))
    assert levels(data, "test") == [60_000 % 250, 69_999 % 250]
    assert (data.train.size, data.val.size) == (19, 2)
    assert data.facts["part"] == "23of70000"
    picture(tmp_path / "ffhq" / "wide" / "00099.png", 1, (64, 32))
    with pytest.raises(DataError, match=r"00099\.png .* not in proportion 1\.000"):
        ready(FFHQ(SMALL, root=str(tmp_path)))


def test_ffhq_without_its_last_part_is_split_anew(tmp_path: Path) -> None:
    for number in range(20):
        picture(tmp_path / "ffhq" / f"{number:05d}.png", number)
    data = ready(FFHQ(SMALL, root=str(tmp_path)))
    assert (data.train.size, data.val.size, data.test.size) == (16, 2, 2)
    picture(tmp_path / "ffhq" / "copy" / "00003.png", 3)
    with pytest.raises(DataError, match="each with a number of its own"):
        ready(FFHQ(SMALL, root=str(tmp_path)))
    with pytest.raises(DataError, match="put the PNG files of"):
        ready(FFHQ(SMALL, root=str(tmp_path / "nowhere")))


# -- ImageNet ----------------------------------------------------------------------------------------------------------


def test_imagenet_has_the_classes_of_its_folders(tmp_path: Path) -> None:
    for part, num in (("train", 30), ("val", 12)):
        for index in range(num):
            wnid = ("n01440764", "n01443537", "n01484850")[index % 3]
            picture(tmp_path / "imagenet" / part / wnid / f"{wnid}_{index}.JPEG", 80 * (index % 3), (40, 30))
    data = ready(ImageNet(SMALL, root=str(tmp_path)))
    assert (data.train.size, data.val.size, data.test.size) == (27, 3, 12)
    assert data.spec.num_classes == 3
    for name in ("train", "val", "test"):
        assert [level // 80 for level in levels(data, name)] == getattr(data, name).y.tolist()
    assert data.facts["part"] == "42of1331167"
    picture(tmp_path / "imagenet" / "val" / "n99999999" / "a.JPEG", 1)
    with pytest.raises(DataError, match=r"has the class n99999999"):
        ready(ImageNet(SMALL, root=str(tmp_path)))
    with pytest.raises(DataError, match=r"train: 0 pictures in folders of classes.*ILSVRC2012"):
        ready(ImageNet(SMALL, root=str(tmp_path / "nowhere")))


# -- ImageNet at 32 and 64 pixels --------------------------------------------------------------------------------------


def arrays(root: Path, size: int, downsampling: str = "box", batches: int = 10, rows: int = 6) -> Path:
    folder = root / f"imagenet{size}" / downsampling
    folder.mkdir(parents=True)
    for stem in [*(f"train_data_batch_{n}" for n in range(1, batches + 1)), "val_data"]:
        np.savez(
            folder / f"{stem}.npz",
            data=RNG.integers(0, 256, (rows, 3 * size * size), np.uint8),
            labels=RNG.integers(1, 1001, rows),
            mean=np.zeros(3),
        )
    return folder


@pytest.mark.parametrize(("kind", "size"), [(ImageNet32, 32), (ImageNet64, 64)])
def test_the_arrays_of_chrabaszcz(tmp_path: Path, kind: type[ImageNet64], size: int) -> None:
    folder = arrays(tmp_path, size)
    spec = DataSpec((3, size, size), 256)
    data = ready(kind(spec, root=str(tmp_path)))
    assert (data.train.size, data.val.size, data.test.size) == (54, 6, 6)
    assert data.spec.num_classes == 1000
    first, last = (np.load(folder / f"train_data_batch_{n}.npz") for n in (1, 10))
    assert data.train.x[2, 1, 3, 4] == first["data"][2].reshape(3, size, size)[1, 3, 4]
    assert data.val.y.tolist() == (last["labels"] - 1).tolist()
    assert data.facts["id"].startswith(f"imagenet{size}-box-66of1331167-")
    assert ready(kind(spec, root=str(tmp_path))).facts == data.facts  # from the array that was written
    (pixels, *_) = sorted((tmp_path / "cache").rglob("*.u8"), key=lambda path: -path.stat().st_size)
    content = bytearray(pixels.read_bytes())
    content[5] ^= 1
    pixels.write_bytes(content)
    with pytest.raises(DataError, match="is damaged: remove it"):
        ready(kind(spec, root=str(tmp_path)))


def test_the_two_downsamplings_are_told_apart(tmp_path: Path) -> None:
    spec = DataSpec((3, 32, 32), 256)
    arrays(tmp_path, 32)
    for part, num in (("train", 30), ("valid", 10)):
        for index in range(num):
            picture(tmp_path / "imagenet32" / "oord" / f"{part}_32x32" / f"{index:05d}.png", index)
    oord = ready(ImageNet32(spec, root=str(tmp_path), downsampling="oord"))
    assert (oord.train.size, oord.val.size, oord.test.size) == (27, 3, 10)
    assert sorted(levels(oord, "test")) == list(range(10))
    assert oord.facts["id"].startswith("imagenet32-oord-40of1331148-")
    assert ready(ImageNet32(spec, root=str(tmp_path))).facts["id"].startswith("imagenet32-box-")
    with pytest.raises(
        DataError, match=r"put train_data_batch_1\.npz.*from https://image-net\.org.*imagenet32/lanczos"
    ):
        ready(ImageNet32(spec, root=str(tmp_path), downsampling="lanczos"))
    with pytest.raises(DataError, match=r"data\.downsampling=area: expected oord, box, bicubic"):
        ImageNet32(spec, downsampling="area")


def test_all_published_images_are_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays(tmp_path, 32)
    monkeypatch.setitem(imagenet64.COUNTS, "box", 66)
    assert ready(ImageNet32(DataSpec((3, 32, 32), 256), root=str(tmp_path))).facts["part"] == "box"


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("touch evil",)


def npz(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"data": npy(np.array([Evil()])), "labels": npy(np.ones(1, int))}, "allow_pickle"),
        ({"data": npy(np.zeros((2, 3072), np.uint8)), "labels": npy(np.array([Evil()]))}, "allow_pickle"),
        ({"data": npy(np.zeros((2, 3072), np.float32)), "labels": npy(np.ones(2, int))}, "float32"),
        ({"data": npy(np.zeros((2, 12288), np.uint8)), "labels": npy(np.ones(2, int))}, "expected uint8 (2, 3072)"),
        ({"data": npy(np.zeros((2, 3072), np.uint8)), "labels": npy(np.ones(3, int))}, "expected uint8 (3, 3072)"),
        ({"data": npy(np.zeros((2, 3072), np.uint8)), "labels": npy(np.zeros(2, int))}, "labels are not 1 to 1000"),
        ({"labels": npy(np.ones(2, int))}, "cannot be read as the published arrays"),
        ({"data": b"<html>quota</html>", "labels": npy(np.ones(2, int))}, "cannot be read as the published arrays"),
        ({"data": npy(np.zeros((2, 3072), np.uint8)), "labels": b"\0" * 700_000}, "claims 700,000 bytes"),
    ],
    ids=["pickle", "pickled labels", "floats", "size", "count", "labels", "no data", "page", "bomb"],
)
def test_arrays_that_are_not_the_published_ones(tmp_path, monkeypatch, members, words) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imagenet64, "MAX_ROWS", 10)
    npz(arrays(tmp_path, 32) / "train_data_batch_2.npz", **members)
    with pytest.raises(DataError) as error:
        ready(ImageNet32(DataSpec((3, 32, 32), 256), root=str(tmp_path)))
    assert words in str(error.value) and "train_data_batch_2.npz" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "evil").exists()


# -- LSUN --------------------------------------------------------------------------------------------------------------


def test_lsun_reads_the_records_of_one_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lmdb = pytest.importorskip("lmdb")
    monkeypatch.setattr(pictures, "IN_PROCESS", 0)  # worker processes
    folder = tmp_path / "lsun" / "church_outdoor_train_lmdb"
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2**24) as database, database.begin(write=True) as transaction:
        for index in range(300):
            buffer = io.BytesIO()
            Image.new("RGB", (40, 30), (index % 256, 0, index // 256)).save(buffer, "WEBP", lossless=True)
            transaction.put(f"{index:05x}".encode(), buffer.getvalue())
    data = ready(LSUN(SMALL, root=str(tmp_path), category="church_outdoor", num_workers=2))
    assert (data.train.size, data.val.size, data.test.size) == (240, 30, 30)
    seen = torch.cat([split.x[:, [0, 2], 0, 0] for split in (data.train, data.val, data.test)])
    assert len(seen.unique(dim=0)) == 300
    assert data.facts["id"].startswith("lsun-church_outdoor-")
    always = ready(LSUN(SMALL, root=str(tmp_path), category="church_outdoor", num_workers=2, decode="always"))
    assert always.facts == data.facts and torch.equal(always.train.x[5:9], data.train.x[5:9])
    with pytest.raises(DataError, match=r"bedroom_train_lmdb has no data\.mdb: unpack bedroom_train_lmdb\.zip"):
        ready(LSUN(SMALL, root=str(tmp_path)))
    other = tmp_path / "other" / "lsun" / "church_outdoor_train_lmdb"
    other.mkdir(parents=True)
    (other / "data.mdb").write_bytes(b"<html>quota</html>" * 1000)
    with pytest.raises(DataError, match="cannot be opened as an LMDB folder"):
        ready(LSUN(SMALL, root=str(tmp_path / "other"), category="church_outdoor"))
