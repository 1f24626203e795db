"""Small data sets in the file formats of the real ones. `MAKERS[<data>](root)` writes one and returns the needed options."""

import io
import json
import tarfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def picture(path: Path, width: int = 16, height: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), np.uint8)).save(path, "PNG")


def pictures(folder: Path, num: int, suffix: str = "png") -> None:
    for index in range(num):
        picture(folder / f"{index:05d}.{suffix}")


def image_folder(root: Path) -> list[str]:
    for kind in "ab":
        pictures(root / kind, 12)
    return []


def caption_folder(root: Path) -> list[str]:
    for index in range(24):
        picture(root / f"{index:02d}.png")
        (root / f"{index:02d}.txt").write_text(f"a red thing\nthing {index % 3}\n")
    return []


def emoji(root: Path) -> list[str]:
    entries = []
    for index in range(30):
        picture(root / "emoji" / "img" / f"{index}.png")
        names = {"name": f"RED {'ABC'[index % 3]}", "short_name": "red_thing"}
        entries.append({**names, "category": "Objects" if index % 2 else "Flags", "image": f"{index}.png"})
    (root / "emoji" / "emoji.json").write_text(json.dumps(entries))
    return []


def streaming(root: Path) -> list[str]:
    from genarena.data.reading.shard_index import write_index

    for part in ("train", "val", "test"):
        with tarfile.open(root / f"{part}.tar", "w") as archive:
            for index in range(12):
                buffer = io.BytesIO()
                Image.fromarray(RNG.integers(0, 256, (16, 16, 3), np.uint8)).save(buffer, "PNG")
                for suffix, content in (("png", buffer.getvalue()), ("cls", b"%d" % (index % 3))):
                    entry = tarfile.TarInfo(f"{index}.{suffix}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
    write_index(root)
    return [f"path={root}"]


def huggingface(root: Path) -> list[str]:
    import datasets

    images = [Image.fromarray(RNG.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(30)]
    table = datasets.Dataset.from_dict({"image": images, "label": [index % 3 for index in range(30)]})
    table.cast_column("image", datasets.Image()).save_to_disk(str(root / "set"))
    return ["path=set", "label=label"]


def tabular(root: Path) -> list[str]:
    np.save(root / "table.npy", RNG.normal(size=(100, 3)))
    return ["path=table.npy", "num_dims=3"]


def sound(path: Path, samples: np.ndarray, rate: int = 22_050, channels: int = 1) -> None:
    """A WAV file of int16 samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def noise(num: int) -> np.ndarray:
    return RNG.integers(-9_000, 9_000, num)


def audio_folder(root: Path) -> list[str]:
    for index in range(6):
        sound(root / f"{index}.wav", noise(1_500 + 100 * index))
    return ["segment=512", "stride=256"]


def ljspeech(root: Path) -> list[str]:
    for index in range(6):
        sound(root / "LJSpeech-1.1" / "wavs" / f"LJ001-000{index}.wav", noise(1_500))
    return ["segment=512", "stride=256"]


def ffhq(root: Path) -> list[str]:
    pictures(root / "ffhq", 30)
    return []


def imagenet(root: Path) -> list[str]:
    for part in ("train", "val"):
        for kind in ("n01440764", "n01443537"):
            pictures(root / "imagenet" / part / kind, 10, "JPEG")
    return []


def imagenet32(root: Path, size: int = 32) -> list[str]:
    folder = root / f"imagenet{size}" / "box"
    folder.mkdir(parents=True)
    for name in ("train_data_batch_1", "val_data"):
        pixels = RNG.integers(0, 256, (20, 3 * size * size), np.uint8)
        np.savez(folder / f"{name}.npz", data=pixels, labels=RNG.integers(1, 1001, 20))
    return []


def imagenet64(root: Path) -> list[str]:
    return imagenet32(root, 64)


def omniglot(root: Path) -> list[str]:
    for part in ("images_background", "images_evaluation"):
        pictures(root / "omniglot" / part / "Greek" / "character01", 20)
    return []


def celeba(root: Path) -> list[str]:
    names = [f"{number:06d}.jpg" for number in range(1, 31)]
    for name in names:
        picture(root / "celeba" / "img_align_celeba" / name, 89, 109)
    titles = " ".join(f"Attribute{number}" for number in range(40))
    rows = [f"{name} {' '.join(RNG.choice(['-1', '1'], 40))}" for name in names]
    (root / "celeba" / "list_attr_celeba.txt").write_text("\n".join(["30", titles, *rows]))
    parts = [f"{name} {index // 10}" for index, name in enumerate(names)]
    (root / "celeba" / "list_eval_partition.txt").write_text("\n".join(parts))
    return []


def lsun(root: Path) -> list[str]:
    import lmdb

    folder = root / "lsun" / "bedroom_train_lmdb"
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2**24) as database, database.begin(write=True) as transaction:
        for index in range(30):
            buffer = io.BytesIO()
            Image.fromarray(RNG.integers(0, 256, (16, 16, 3), np.uint8)).save(buffer, "WEBP", lossless=True)
            transaction.put(f"{index:05x}".encode(), buffer.getvalue())
    return []


def cifar10(root: Path) -> list[str]:
    import pickle

    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        labels = RNG.integers(0, 10, 20).tolist()
        content = {"data": RNG.integers(0, 256, (20, 3072), np.uint8), "labels": labels}
        (folder / name).write_bytes(pickle.dumps(content, 4))
    return []


def cifar100(root: Path) -> list[str]:
    import pickle

    folder = root / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        labels = RNG.integers(0, 100, 20).tolist()
        content = {"data": RNG.integers(0, 256, (20, 3072), np.uint8), "fine_labels": labels}
        (folder / name).write_bytes(pickle.dumps(content, 4))
    return []


def idx(root: Path, place: str) -> list[str]:
    folder = root / place / "raw"
    folder.mkdir(parents=True)
    for part, num in (("train", 5_050), ("t10k", 50)):
        for kind, array in (
            ("images-idx3", RNG.integers(0, 256, (num, 28, 28), np.uint8)),
            ("labels-idx1", RNG.integers(0, 10, num, np.uint8)),
        ):
            header = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return []


MAKERS: dict[str, Callable[[Path], list[str]]] = {
    make.__name__: make
    for make in (
        *(
            audio_folder,
            ljspeech,
            caption_folder,
            emoji,
            image_folder,
            streaming,
            huggingface,
            tabular,
            ffhq,
            imagenet,
            imagenet32,
            imagenet64,
            omniglot,
            celeba,
            lsun,
        ),
        *(cifar10, cifar100),
    )
} | {
    "mnist": lambda root: idx(root, "MNIST"),
    "binary_mnist": lambda root: idx(root, "MNIST"),
    "fashion_mnist": lambda root: idx(root, "FashionMNIST"),
    "scenes": lambda root: ["num_scenes=2000"],
    "toy_audio": lambda root: ["num_clips=8", "segment=512"],
    "kmnist": lambda root: idx(root, "KMNIST"),
}
