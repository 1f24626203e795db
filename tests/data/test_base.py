"""Splits, batches, integrity."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Batches, Split
from genarena.data.binary_mnist import BinaryMNIST
from genarena.data.digits import Digits
from genarena.data.image_folder import ImageFolder
from genarena.data.mnist import MNIST
from genarena.data.splitting import seeded_split
from genarena.data.toy2d import DISTRIBUTIONS, Toy2D
from genarena.errors import DataError
from genarena.options.values import Count
from genarena.spec import DataSpec

DIGITS = DataSpec((1, 8, 8), 17, 10)
GREY = DataSpec((1, 28, 28), 256, 10)


def ready(data: ArenaDataModule) -> ArenaDataModule:
    data.setup()
    return data


def take(batches: Batches, num: int) -> list[torch.Tensor]:
    return [batch.x for batch, _ in zip(batches, range(num), strict=False)]


def test_digits_splits_are_disjoint_and_fixed() -> None:
    data = ready(Digits(DIGITS))
    assert (data.train.size, data.val.size, data.test.size) == (1257, 180, 360)
    other = ready(Digits(DIGITS, seed=7))
    assert torch.equal(data.test.x, other.test.x)
    assert data.facts["id"] == other.facts["id"]
    from sklearn.datasets import load_digits

    together = torch.cat([data.train.x, data.val.x, data.test.x]).flatten(1).double()
    whole = torch.from_numpy(load_digits().data)
    assert torch.equal(
        torch.sort(together @ torch.arange(64.0).double())[0], torch.sort(whole @ torch.arange(64.0).double())[0]
    )


def test_an_epoch_shows_each_example_once_and_the_next_in_another_order() -> None:
    data = ready(Digits(DIGITS))
    data.train = Split(torch.arange(60).view(60, 1))
    first = torch.cat(take(Batches(data.train, 10, shuffle=True, augment=data.augment), 6)).flatten()
    both = torch.cat(take(Batches(data.train, 10, shuffle=True, augment=data.augment), 12)).flatten()
    assert torch.equal(first.sort()[0], torch.arange(60))
    assert torch.equal(both[:60], first)
    assert not torch.equal(both[60:], first)
    assert torch.equal(both[60:].sort()[0], torch.arange(60))


def test_batch_k_is_a_function_of_seed_and_k(shared_data: Path) -> None:
    data = ready(BinaryMNIST(DataSpec((1, 28, 28), 2, 10), root=str(shared_data)))
    from_start = take(Batches(data.training_split, 50, seed=3, shuffle=True, augment=data.augment), 5)
    from_third = take(Batches(data.training_split, 50, seed=3, shuffle=True, start=3, augment=data.augment), 2)
    assert torch.equal(from_start[3], from_third[0])
    assert torch.equal(from_start[4], from_third[1])
    assert not torch.equal(
        from_start[0], take(Batches(data.training_split, 50, seed=4, shuffle=True, augment=data.augment), 1)[0]
    )


def test_two_ranks_share_a_batch() -> None:
    data = ready(Digits(DIGITS))
    whole = take(Batches(data.train, 8, shuffle=True, augment=data.augment), 1)[0]
    parts = [
        take(Batches(data.train, 8, shuffle=True, rank=rank, world_size=2, augment=data.augment), 1)[0]
        for rank in (0, 1)
    ]
    assert torch.equal(torch.stack(parts, 1).flatten(0, 1), whole)
    with pytest.raises(ValueError, match="multiple of the number of ranks"):
        Batches(data.train, 9, shuffle=True, world_size=2, augment=data.augment)


def test_validation_covers_each_example_once() -> None:
    split = Split(torch.arange(101))
    for ranks in (1, 2):
        seen = [b.x for rank in range(ranks) for b in Batches(split, 10, rank=rank, world_size=ranks)]
        assert torch.equal(torch.cat(seen).sort()[0], torch.arange(101))


def test_mnist_is_the_real_one(shared_data: Path) -> None:
    data = ready(MNIST(GREY, root=str(shared_data)))
    assert (data.train.size, data.val.size, data.test.size) == (55_000, 5_000, 10_000)
    whole = torch.cat([data.train.x, data.val.x]).float() / 255
    assert abs(whole.mean().item() - 0.1307) < 1e-4
    assert abs(whole.std().item() - 0.3081) < 1e-4


def test_binarisation_has_the_grey_level_as_its_mean(shared_data: Path) -> None:
    data = ready(BinaryMNIST(DataSpec((1, 28, 28), 2, 10), root=str(shared_data)))
    assert set(data.test.x.unique().tolist()) == {0, 1}
    grey = ready(MNIST(GREY, root=str(shared_data))).test.x.float() / 255
    assert abs((data.test.x.float() - grey).mean().item()) < 1e-3
    assert data.seen is None  # no showing of an image is ever repeated
    again = ready(BinaryMNIST(DataSpec((1, 28, 28), 2, 10), root=str(shared_data), seed=5))
    assert torch.equal(data.test.x, again.test.x)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    path.write_bytes(header + array.tobytes())


def test_unpacked_files_are_read_and_damaged_ones_are_named(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, num in (("train", 5_010), ("t10k", 20)):
        write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (num, 28, 28), np.uint8))
        write_idx(raw / f"{part}-labels-idx1-ubyte", rng.integers(0, 10, num, np.uint8))
    data = ready(MNIST(GREY, root=str(tmp_path)))
    assert (data.train.size, data.val.size, data.test.size) == (10, 5_000, 20)
    broken = raw / "t10k-images-idx3-ubyte"
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte is damaged"):
        ready(MNIST(GREY, root=str(tmp_path)))
    (raw / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"<html>quota</html>"))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is not the published .*: remove it and try again"):
        ready(MNIST(GREY, root=str(tmp_path)))


def test_a_set_that_is_not_there_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        ready(MNIST(GREY, root=str(tmp_path), mirror="http://127.0.0.1:1"))
    assert "\n" not in str(error.value)
    assert "put train-images-idx3-ubyte.gz" in str(error.value)
    assert str(tmp_path / "MNIST" / "raw") in str(error.value)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_toys_are_centred_and_fixed(name: str) -> None:
    data = ready(Toy2D(DataSpec((2,)), distribution=name))
    assert data.train.x.shape == (50_000, 2)
    assert data.train.x.mean(0).abs().max() < 0.05
    assert data.train.x.abs().max() < 4
    assert not torch.equal(data.train.x[:10], data.test.x[:10])
    assert torch.equal(data.test.x, ready(Toy2D(DataSpec((2,)), seed=9, distribution=name)).test.x)


def test_checkerboard_fills_the_dark_squares_only() -> None:
    points = ready(Toy2D(DataSpec((2,)), distribution="checkerboard")).train.x
    cells = (points + 2).floor().long().clamp(0, 3)
    counts = torch.bincount(cells[:, 0] * 4 + cells[:, 1], minlength=16).view(4, 4)
    dark = (torch.arange(4)[:, None] + torch.arange(4)) % 2 == 0
    assert (counts[~dark] == 0).all()
    assert (counts[dark] / 50_000 - 1 / 8).abs().max() < 0.01


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for index in range(30):
        folder = tmp_path / ("cats" if index % 2 else "dogs")
        folder.mkdir(exist_ok=True)
        colour = (255, 0, 0) if index % 2 else (0, 0, 255)
        Image.new("RGB", (40 + index, 30), colour).save(folder / f"{index:02d}.png")
    return tmp_path


def folder_of(root: Path, size: int = 16, channels: int = 3, flip: bool = False) -> ImageFolder:
    return ImageFolder(
        DataSpec((channels, size, size), 256), root=str(root), image_size=size, channels=channels, flip=flip
    )


def test_image_folder_reads_classes_and_colours(pictures: Path) -> None:
    data = ready(folder_of(pictures))
    assert (data.train.size, data.val.size, data.test.size) == (24, 3, 3)
    assert data.spec.num_classes == 2
    for x, y in zip(data.train.x, data.train.y, strict=True):
        expected = torch.tensor([255, 0, 0] if y == 0 else [0, 0, 255], dtype=torch.uint8)  # cats before dogs
        assert torch.equal(x, expected.view(3, 1, 1).expand(3, 16, 16))
    assert ready(folder_of(pictures, channels=1)).train.x.shape == (24, 1, 16, 16)


def test_resize_keeps_the_centre(tmp_path: Path) -> None:
    for index in range(10):
        picture = Image.new("L", (64, 32), 0)
        picture.paste(255, (16, 0, 48, 32))
        picture.save(tmp_path / f"{index}.png")
    data = ready(folder_of(tmp_path, channels=1))
    assert data.train.x.float().mean() > 250  # the central square is white, all else is cropped


def test_flip_mirrors_about_half(pictures: Path) -> None:
    data = folder_of(pictures, flip=True)
    x = torch.arange(4, dtype=torch.uint8).view(1, 1, 1, 4).expand(1000, 1, 1, 4)
    mirrored = (data.augment(x, torch.Generator().manual_seed(0))[:, 0, 0, 0] == 3).float().mean()
    assert 0.45 < mirrored < 0.55


def test_mutation_replaces_a_share_of_the_values_of_training_batches_only(pictures: Path) -> None:
    """A replaced value keeps its level with probability 1 / levels; the data, its id and its other splits do not change."""
    spec = DataSpec((1, 8, 8), 17, 10)
    plain, data = ready(Digits(spec=spec)), ready(Digits(spec=spec, mutate=0.3))
    x = data.train.x
    changed = data.altered(x, torch.Generator().manual_seed(0))
    assert (changed != x).float().mean() == pytest.approx(0.3 * 16 / 17, abs=0.01)
    assert changed[changed != x].float().mean() == pytest.approx(8.0, abs=0.5) and changed.dtype == torch.uint8
    assert torch.equal(plain.altered(x, torch.Generator()), x) and plain.is_fixed and not data.is_fixed
    assert data.facts["id"] == plain.facts["id"]
    with pytest.raises(DataError, match=r"data.mutate=0.1: toy2d has no levels"):
        Toy2D(DataSpec((2,)), mutate=0.1)


def test_the_test_split_alone_is_that_of_the_whole_set(shared_data: Path, tmp_path: Path) -> None:
    for kind, levels in ((MNIST, 256), (BinaryMNIST, 2)):
        data = kind(spec=DataSpec((1, 28, 28), levels, 10), root=str(shared_data))
        assert torch.equal(data.load_test().x, ready(data).test.x)
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for path in (shared_data / "MNIST" / "raw").glob("t10k-*.gz"):
        (folder / path.name).symlink_to(path)
    assert MNIST(spec=DataSpec((1, 28, 28), 256, 10), root=str(tmp_path)).load_test().size == 10_000


def test_what_training_may_have_shown_includes_mirrored_pictures(pictures: Path) -> None:
    data = ready(folder_of(pictures, flip=True))
    assert torch.equal(data.seen, torch.cat([data.train.x, data.train.x.flip(-1)]))
    assert ready(folder_of(pictures)).seen.shape == data.train.x.shape


def test_bad_pictures_are_named(pictures: Path) -> None:
    (pictures / "cats" / "x.png").write_text("<svg/>")
    with pytest.raises(DataError, match=r"cats/x\.png \(picture \d+\) cannot be read as a picture"):
        ready(folder_of(pictures))
    good = (pictures / "dogs" / "00.png").read_bytes()
    (pictures / "cats" / "x.png").write_bytes(good[: len(good) // 2])
    with pytest.raises(DataError, match=r"cats/x\.png"):
        ready(folder_of(pictures))
    with pytest.raises(DataError, match="no such folder"):
        ready(folder_of(pictures / "nowhere"))
    empty = pictures / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="0 pictures found"):
        ready(folder_of(empty))


def test_data_id_tells_resolutions_apart(pictures: Path) -> None:
    ids = {ready(folder_of(pictures, size)).facts["id"] for size in (8, 16)}
    assert len(ids) == 2


def test_mirroring_training_pictures_leaves_the_data_what_it_is(pictures: Path) -> None:
    assert ready(folder_of(pictures, flip=True)).facts["id"] == ready(folder_of(pictures)).facts["id"]


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.tensor([0, 1, -1]), "label -1 of train example 2 is none of the labels, 0 to 2"),
        (torch.tensor([0, 3, 1]), "label 3 of train example 1"),
        (torch.tensor([[0, 1], [1, 2], [0, 0]]), "label 2 of train example 1 is none of the labels, 0 to 1"),
        (torch.tensor([0, 1]), r"\(2,\), expected int64, one or a row of attributes for each of 3 examples"),
        (torch.tensor([0.0, 1.0, 2.0]), "torch.float32"),
    ],
)
def test_labels_are_checked_for_every_set(y: torch.Tensor, words: str) -> None:
    class Three(ArenaDataModule):
        name = "three"

        def load(self) -> tuple[Split, Split, Split]:
            x = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
            return Split(x, y), Split(x), Split(x)

    with pytest.raises(DataError, match=words):
        ready(Three(DataSpec((1, 2, 2), 256, 3)))


class Ramp(ArenaDataModule):
    """Vectors that count up."""

    name = "ramp"
    size: Count = 20
    step: float = 1.0

    def load(self) -> tuple[Split, Split, Split]:
        return seeded_split(Split(self.step * torch.arange(float(self.size)).view(-1, 1)), val=4, test=4)


def test_options_of_a_data_set_are_its_annotated_attributes() -> None:
    spec = DataSpec((1,))
    data = ready(Ramp(spec, size=30, step=2.0))
    assert (data.train.size, data.step, data.batch_size) == (22, 2.0, 128)
    assert ready(Ramp(spec)).facts["id"] != data.facts["id"]
    assert Ramp(spec) != Ramp(spec)  # compared by identity, as any module
    with pytest.raises(TypeError, match="stp"):
        Ramp(spec, stp=1.0)
