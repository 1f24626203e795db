"""Sets that others publish: read from their files, downloaded from a server, told from a part of themselves."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genarena.data.base import ArenaDataModule
from genarena.data.celeba import COUNT, CelebA, official_part
from genarena.data.cifar10 import CIFAR10
from genarena.data.cifar100 import CIFAR100
from genarena.data.fashion_mnist import FashionMNIST
from genarena.data.kmnist import KMNIST
from genarena.data.mnist import NAMES, idx_files
from genarena.data.omniglot import Omniglot
from genarena.data.reading.decoding import Recipe, decode
from genarena.data.reading.unpickling import load_arrays
from genarena.data.svhn import SVHN
from genarena.errors import DataError, Untrusted
from genarena.files.download import Published
from genarena.spec import DataSpec
from tests.damage import damaged
from tests.server import serving

COLOUR, GREY = DataSpec((3, 32, 32), 256, 10), DataSpec((1, 28, 28), 256, 10)
RNG = np.random.default_rng(0)


def ready(data: ArenaDataModule) -> ArenaDataModule:
    data.setup()
    return data


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- CIFAR -------------------------------------------------------------------------------------------------------------


def batch(num: int, label: str = "labels", classes: int = 10) -> bytes:
    labels = RNG.integers(0, classes, num).tolist()
    return pickle.dumps({"data": RNG.integers(0, 256, (num, 3072), np.uint8), label: labels}, 4)


@pytest.fixture
def small_cifar(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """CIFAR-10 as if it had been published with 20 rows per file: what is in its archive."""
    content = {f"cifar-10-batches-py/{published.file}": batch(20) for published in CIFAR10.batches}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, member in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            archive.addfile(info, io.BytesIO(member))
    monkeypatch.setattr(CIFAR10, "rows", {"train": 20, "test": 20})
    monkeypatch.setattr(
        CIFAR10,
        "batches",
        tuple(Published(p.file, sha256(content[f"cifar-10-batches-py/{p.file}"])) for p in CIFAR10.batches),
    )
    monkeypatch.setattr(CIFAR10, "files", (Published("cifar-10-python.tar.gz", sha256(packed.getvalue())),))
    return content | {"/cifar-10-python.tar.gz": packed.getvalue()}


def test_cifar10_is_downloaded_unpacked_and_keeps_its_pixels(small_cifar: dict[str, bytes], tmp_path: Path) -> None:
    with serving(small_cifar) as (address, behaviour):
        data = ready(CIFAR10(COLOUR, root=str(tmp_path), mirror=address))
        assert len(behaviour.asked) == 1
    assert (data.train.size, data.val.size, data.test.size) == (90, 10, 20)
    assert data.facts["id"].startswith("cifar10-") and "part" not in data.facts
    first = pickle.loads(small_cifar["cifar-10-batches-py/data_batch_1"])
    assert data.train.x[7, 2, 3, 4] == first["data"][7].reshape(3, 32, 32)[2, 3, 4]
    last = pickle.loads(small_cifar["cifar-10-batches-py/data_batch_5"])
    assert data.val.y.tolist() == last["labels"][10:]
    again = ready(CIFAR10(COLOUR, root=str(tmp_path)))  # what is there is used
    assert again.facts == data.facts


def test_a_damaged_cifar_is_refused_and_a_shorter_one_is_a_part(small_cifar: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for published in CIFAR10.batches:
        (folder / published.file).write_bytes(small_cifar[f"cifar-10-batches-py/{published.file}"])
    whole = ready(CIFAR10(COLOUR, root=str(tmp_path)))
    path = folder / "data_batch_3"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # a pixel
    path.write_bytes(content)
    with pytest.raises(DataError, match="data_batch_3 is not the published data_batch_3: it has sha256"):
        ready(CIFAR10(COLOUR, root=str(tmp_path)))
    path.write_bytes(content[:5000])
    with pytest.raises(DataError, match="data_batch_3 is damaged"):
        ready(CIFAR10(COLOUR, root=str(tmp_path)))
    path.write_bytes(batch(19))
    part = ready(CIFAR10(COLOUR, root=str(tmp_path)))
    assert part.facts["part"] == "119of120"
    assert part.facts["id"].startswith("cifar10-119of120-") and part.facts["id"] != whole.facts["id"]


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    "payload", [Evil(), np.array([Evil()], dtype=object), {"data": Evil()}], ids=["bare", "array", "dict"]
)
def test_a_pickle_gets_nothing_executed(payload, small_cifar, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for published in CIFAR10.batches:
        (folder / published.file).write_bytes(pickle.dumps(payload))
    with pytest.raises(Untrusted, match=r"data_batch_1 is not read: the pickle asks for (posix|os)\.system"):
        ready(CIFAR10(COLOUR, root=str(tmp_path)))
    assert not (tmp_path / "evil").exists()


def test_cifar10_real_rows(shared_data: Path) -> None:
    data = ready(CIFAR10(COLOUR, root=str(shared_data / "cifar10_lossless_prefix"), flip=True))
    assert (data.train.size, data.val.size, data.test.size) == (4_577, 508, 1_017)
    assert torch.bincount(torch.cat([data.train.y, data.val.y])).tolist() == [
        517,
        524,
        490,
        493,
        537,
        475,
        503,
        516,
        529,
        501,
    ]
    assert data.facts["id"].startswith("cifar10-6102of60000-")
    flipped = data.augment(data.test.x, torch.Generator().manual_seed(0))
    mirrored = (flipped == data.test.x.flip(-1)).flatten(1).all(1)
    assert 400 < mirrored.sum() < 600
    assert torch.equal(flipped[~mirrored], data.test.x[~mirrored])


def test_cifar100_reads_the_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, num in (("train", 30), ("test", 5)):
        (folder / name).write_bytes(batch(num, "fine_labels", 100))
    data = ready(CIFAR100(DataSpec((3, 32, 32), 256, 100), root=str(tmp_path)))
    assert (data.train.size, data.val.size, data.test.size) == (27, 3, 5)
    assert data.facts["part"] == "35of60000"


# -- MNIST's relatives -------------------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def test_idx_files_are_downloaded_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [RNG.integers(0, 10, shape, np.uint8) for shape in ((5_010, 28, 28), (5_010,), (20, 28, 28), (20,))]
    packed = [gzip.compress(idx(array)) for array in arrays]
    monkeypatch.setattr(KMNIST, "files", idx_files("http://127.0.0.1:1", *map(sha256, packed)))
    content = {f"/{name}.gz": member for name, member in zip(NAMES, packed, strict=True)}
    with serving(content) as (address, behaviour):
        content["/t10k-labels-idx1-ubyte.gz"] = packed[1]
        with pytest.raises(DataError, match="gave something else, nothing was kept"):
            ready(KMNIST(GREY, root=str(tmp_path), mirror=address))
        content["/t10k-labels-idx1-ubyte.gz"] = packed[3]
        data = ready(KMNIST(GREY, root=str(tmp_path), mirror=address))
        assert len(behaviour.asked) == 5
    assert (data.train.size, data.val.size, data.test.size) == (10, 5_000, 20)
    assert torch.equal(data.test.y, torch.from_numpy(arrays[3]).long())


def test_half_of_kmnist_is_said_to_be_half(shared_data: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"kmnist is not whole in .*KMNIST/raw \(.*\): put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz there",
    ) as error:
        ready(KMNIST(GREY, root=str(shared_data), mirror="http://127.0.0.1:1"))
    assert "\n" not in str(error.value)


def test_fashion_mnist_is_the_published_one(shared_data: Path) -> None:
    data = ready(FashionMNIST(GREY, root=str(shared_data)))
    assert (data.train.size, data.val.size, data.test.size) == (55_000, 5_000, 10_000)
    assert data.train.x[0].float().mean() == pytest.approx(97.25, abs=0.01)  # an ankle boot
    assert data.train.y[0] == 9


def test_svhn_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    folder = tmp_path / "svhn"
    folder.mkdir()
    files, images = [], {}
    for published, num in zip(SVHN.files, (40, 10), strict=True):
        images[published.file] = RNG.integers(0, 256, (32, 32, 3, num), np.uint8)
        savemat(
            folder / published.file, {"X": images[published.file], "y": np.arange(1, num + 1).reshape(-1, 1) % 10 + 1}
        )
        files.append(Published(published.file, sha256((folder / published.file).read_bytes())))
    monkeypatch.setattr(SVHN, "files", tuple(files))
    data = ready(SVHN(COLOUR, root=str(tmp_path)))
    assert (data.train.size, data.val.size, data.test.size) == (36, 4, 10)
    assert data.test.x[3, 2, 5, 6] == images["test_32x32.mat"][5, 6, 2, 3]
    assert data.test.y.tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 0, 1]  # 10 stands for 0
    (folder / "test_32x32.mat").write_bytes(b"MATLAB 5.0 but another file")
    with pytest.raises(DataError, match="not the published test_32x32.mat"):
        ready(SVHN(COLOUR, root=str(tmp_path)))


def test_omniglot_is_unpacked_and_split_by_alphabet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, files = {}, []
    for name, level, num in (("images_background", 10, 20), ("images_evaluation", 200, 6)):
        packed, picture = io.BytesIO(), io.BytesIO()
        Image.new("L", (105, 105), level).save(picture, "PNG")
        with zipfile.ZipFile(packed, "w") as archive:
            for index in range(num):
                archive.writestr(f"{name}/Greek/character{index % 3:02d}/{index:04d}_01.png", picture.getvalue())
        content[f"/{name}.zip"] = packed.getvalue()
        files.append(Published(f"{name}.zip", sha256(packed.getvalue())))
    monkeypatch.setattr(Omniglot, "files", tuple(files))
    with serving(content) as (address, _):
        data = ready(Omniglot(DataSpec((1, 28, 28), 256), root=str(tmp_path), mirror=address))
    assert (data.train.size, data.val.size, data.test.size) == (18, 2, 6)
    assert set(data.train.x.unique().tolist()) == {10} and set(data.test.x.unique().tolist()) == {200}
    assert data.facts["part"] == "26of32460"


# -- CelebA ------------------------------------------------------------------------------------------------------------

FACE = DataSpec((3, 64, 64), 256)


def faces(
    root: Path, numbers: list[int], size: tuple[int, int] = (178, 218), partition: dict[int, int] | None = None
) -> Path:
    """A folder in the owner's layout with pictures of one colour each."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    titles = " ".join(["Smiling", *(f"Attribute_{n}" for n in range(39))])
    lines = [str(len(numbers)), f"{titles} "]
    for number in numbers:
        colour = number % 256, number // 256 % 256, 9
        Image.new("RGB", size, colour).save(folder / "img_align_celeba" / f"{number:06d}.jpg", quality=95)
        lines.append(f"{number:06d}.jpg " + "  ".join("1" if (number + k) % 3 == 0 else "-1" for k in range(40)))
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    parts = partition or {number: official_part(f"{number:06d}.jpg") for number in numbers}
    (folder / "list_eval_partition.txt").write_text("".join(f"{n:06d}.jpg {p}\n" for n, p in parts.items()))
    return root


NUMBERS = [1, 2, 162_770, 162_771, 182_637, 182_638, 202_599]


def test_celeba_keeps_the_official_split_and_is_labelled_as_a_part(tmp_path: Path) -> None:
    data = ready(CelebA(FACE, root=str(faces(tmp_path, NUMBERS))))
    assert (data.train.size, data.val.size, data.test.size) == (3, 2, 2)
    assert abs(data.train.x[2, 1].float().mean() - 162_770 // 256 % 256) < 3
    assert data.facts["id"].startswith(f"celeba-7of{COUNT}-")
    assert data.facts["split"] == "official"
    assert data.train.y.shape == (3, 40)
    assert data.train.y[0].tolist() == [int((1 + k) % 3 == 0) for k in range(40)]


def test_the_crop_is_the_centred_148_pixels() -> None:
    recipe = CelebA(FACE).recipe()
    assert recipe.box(178, 218) == (15, 35, 163, 183)
    assert recipe.identity() == {"crop": "centred square of 0.8315 of the width", "resize": "bilinear, antialias"}


def test_the_official_partition_file_is_reproduced_bit_by_bit() -> None:
    lines = "".join(f"{n:06d}.jpg {official_part(f'{n:06d}.jpg')}\r\n" for n in range(1, COUNT + 1))
    assert sha256(lines.encode()) == CelebA.files[2].checksum


def test_only_all_pictures_are_the_whole_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genarena.data.celeba.COUNT", 5)
    monkeypatch.setattr("genarena.data.celeba.LAST_TRAIN", 3)
    monkeypatch.setattr("genarena.data.celeba.LAST_VAL", 4)
    data = ready(CelebA(FACE, root=str(faces(tmp_path, [1, 2, 3, 4, 5]))))
    assert "part" not in data.facts and data.facts["id"].count("-") == 1
    (tmp_path / "celeba" / "img_align_celeba" / "000002.jpg").unlink()
    assert ready(CelebA(FACE, root=str(tmp_path))).facts["part"] == "4of5"


def test_celeba_says_which_split_it_has(tmp_path: Path) -> None:
    own = ready(CelebA(FACE, root=str(faces(tmp_path / "own", [1, 2, 3, 4], partition={1: 0, 2: 1, 3: 2, 4: 0}))))
    assert "not the official one" in own.facts["split"]
    assert (own.train.size, own.val.size, own.test.size) == (2, 1, 1)
    drawn = ready(CelebA(FACE, root=str(faces(tmp_path / "drawn", list(range(1, 31))))))  # all of them training images
    assert (drawn.train.size, drawn.val.size, drawn.test.size) == (24, 3, 3)
    assert "leaves a part empty" in drawn.facts["split"]


def test_one_attribute_is_a_label(tmp_path: Path) -> None:
    root = str(faces(tmp_path, NUMBERS))
    data = ready(CelebA(FACE, root=root, attribute="Smiling"))
    assert data.spec.num_classes == 2
    assert data.train.y.tolist() == [int(number % 3 == 0) for number in NUMBERS[:3]]
    assert data.facts["id"] != ready(CelebA(FACE, root=root)).facts["id"]
    with pytest.raises(DataError, match=r"data\.attribute=smiling: expected one of Smiling, Attribute_0"):
        ready(CelebA(FACE, root=root, attribute="smiling"))


def test_broken_lists_name_file_and_line(tmp_path: Path) -> None:
    folder = faces(tmp_path, NUMBERS) / "celeba"
    attributes = (folder / "list_attr_celeba.txt").read_text()
    (folder / "list_attr_celeba.txt").write_text(
        attributes.replace("000002.jpg 1", "000002.jpg 7").replace("000002.jpg -1", "000002.jpg 7")
    )
    with pytest.raises(
        DataError, match=r"list_attr_celeba\.txt: there is no line of 000002\.jpg with 40 times -1 or 1"
    ):
        ready(CelebA(FACE, root=str(tmp_path)))
    (folder / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 3\n\n")
    with pytest.raises(DataError, match=r"list_eval_partition\.txt, line 2"):
        ready(CelebA(FACE, root=str(tmp_path)))
    (folder / "list_eval_partition.txt").write_text("<html>quota\nexceeded\n</html>\n")
    with pytest.raises(DataError, match=r"list_eval_partition\.txt, line 1"):
        ready(CelebA(FACE, root=str(tmp_path)))


def test_pictures_that_are_not_aligned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"000001\.jpg \(picture 0\) .* not in proportion 0\.817"):
        ready(CelebA(FACE, root=str(faces(tmp_path, NUMBERS, (200, 200)))))


def test_the_owner_of_celeba_wants_to_be_visited(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        ready(CelebA(FACE, root=str(tmp_path)))
    for words in (
        f"celeba is not in {tmp_path}/celeba",
        "img_align_celeba.zip (1,443,490,838 bytes)",
        "data.mirror",
        "list_attr_celeba.txt (26,721,026 bytes)",
        "list_eval_partition.txt (2,836,386 bytes)",
    ):
        assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_celeba_from_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = faces(tmp_path / "owner", NUMBERS) / "celeba"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (folder / "img_align_celeba").iterdir():
            archive.write(path, f"img_align_celeba/{path.name}")
    texts = [(folder / name).read_bytes() for name in ("list_attr_celeba.txt", "list_eval_partition.txt")]
    content = [packed.getvalue(), *texts]
    monkeypatch.setattr(
        CelebA,
        "files",
        tuple(Published(p.file, sha256(member)) for p, member in zip(CelebA.files, content, strict=True)),
    )
    there = ready(CelebA(FACE, root=str(tmp_path / "owner")))
    with serving({f"/{p.file}": member for p, member in zip(CelebA.files, content, strict=True)}) as (address, _):
        fetched = ready(CelebA(FACE, root=str(tmp_path / "new"), mirror=address))
    assert fetched.facts == there.facts


@pytest.mark.parametrize(("folder", "count"), [("", 7_974), ("celeba_fullsize_sample", 22)])
def test_celeba_real_pictures(shared_data: Path, folder: str, count: int) -> None:
    data = ready(CelebA(FACE, root=str(shared_data / folder), max_train=100, max_val=20, max_test=20))
    assert data.facts["id"].startswith(f"celeba-{count}of{COUNT}-")
    assert data.train.size + data.val.size + data.test.size == (140 if count > 140 else 22)
    assert data.train.y.float().mean() == pytest.approx(0.23, abs=0.05)


def test_a_halved_copy_of_celeba_shows_the_same_part_of_the_face(shared_data: Path) -> None:
    halved = CelebA(FACE, root=str(shared_data)).listings()
    whole = CelebA(FACE, root=str(shared_data / "celeba_fullsize_sample")).listings()
    recipe = CelebA(FACE).recipe()
    known = {name: listing.sources for listing in halved for name in listing.sources.names}
    errors = []
    for sources in (listing.sources for listing in whole):
        for index, name in enumerate(sources.names):
            other = known[name]
            small = decode(other.read(other.names.index(name)), recipe).astype(float)
            errors.append(((decode(sources.read(index), recipe) - small) ** 2).mean())
    assert len(errors) == 22
    assert 10 * np.log10(255**2 / max(errors)) > 24  # dB; JPEG loss and half the pixels, but the same part


# -- damage ------------------------------------------------------------------------------------------------------------


def test_a_damaged_pickle_is_an_error_or_a_dictionary(tmp_path: Path) -> None:
    for content in damaged(batch(3), 500):
        (tmp_path / "batch").write_bytes(content)
        try:
            assert isinstance(load_arrays(tmp_path / "batch"), dict)
        except (DataError, Untrusted) as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, about damaged TIFF files
def test_a_damaged_picture_is_an_error_or_a_picture(kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (20, 17, 3), np.uint8)).save(buffer, kind)
    refused = 0
    for content in damaged(buffer.getvalue(), 200):
        try:
            assert decode(content, Recipe((3, 8, 8))).shape == (8, 8, 3)
        except ValueError:
            refused += 1
    assert refused > 40
