"""Hugging Face data sets: read from disk without a network, without code of theirs, with their own splits and labels."""

import socket
from pathlib import Path

import pytest
import torch
from PIL import Image

from genarena.data.huggingface import HuggingFace
from genarena.errors import DataError
from genarena.spec import DataSpec

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is on disk needs no network, and the user's cache stays as it is."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hub"))

    def refused(*args: object) -> None:
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


def colours(num: int) -> list[Image.Image]:
    return [Image.new("RGB", (20, 16), (index, 255 - index, 7)) for index in range(num)]


def table(num: int, **columns: list) -> "datasets.Dataset":
    features = datasets.Features({"photo": datasets.Image()} | {name: datasets.Value("string") for name in columns})
    return datasets.Dataset.from_dict({"photo": colours(num), **columns}, features=features)


def ready(path: Path, **options: object) -> HuggingFace:
    data = HuggingFace(DataSpec((3, 8, 8), 256), path=str(path), image_size=8, **options)
    data.setup()
    return data


def test_a_saved_set_gives_its_pictures_and_a_tenth_each_where_splits_are_missing(tmp_path: Path) -> None:
    table(40).save_to_disk(tmp_path / "set")
    data = ready(tmp_path / "set", column="photo")
    assert (data.train.size, data.val.size, data.test.size) == (32, 4, 4)
    together = torch.cat([data.train.x, data.val.x, data.test.x])
    assert (together == together[:, :, :1, :1]).all()  # of one colour each, as they were stored
    assert sorted(together[:, 0, 0, 0].tolist()) == list(range(40))
    assert torch.equal(together[:, 1, 0, 0], 255 - together[:, 0, 0, 0])
    assert data.train.y is None and data.spec.num_classes is None


def test_splits_and_labels_are_those_of_the_set(tmp_path: Path) -> None:
    animals = ["dog", "cat", "cow"]
    splits = {
        "train": table(30, kind=animals * 10),
        "validation": table(3, kind=animals),
        "test": table(6, kind=animals * 2),
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "set")
    data = ready(tmp_path / "set", column="photo", label="kind")
    assert (data.train.size, data.val.size, data.test.size) == (30, 3, 6)
    assert data.test.x[:, 0, 0, 0].tolist() == list(range(6))
    assert data.test.y.tolist() == [2, 0, 1] * 2  # cat, cow, dog
    assert data.spec.num_classes == 3
    unlabelled = ready(tmp_path / "set", column="photo")
    assert unlabelled.train.y is None
    assert unlabelled.facts["id"] != data.facts["id"]
    assert data.facts["path"] == "set"


def test_an_image_folder_with_metadata(tmp_path: Path) -> None:
    for part, num in (("train", 20), ("test", 5)):
        (tmp_path / "set" / part).mkdir(parents=True)
        lines = []
        for index, picture in enumerate(colours(num)):
            picture.save(tmp_path / "set" / part / f"{index:02d}.png")
            lines.append(f'{{"file_name": "{index:02d}.png", "text": "colour {index}"}}')
        (tmp_path / "set" / part / "metadata.jsonl").write_text("\n".join(lines))
    data = ready(tmp_path / "set")
    assert (data.train.size, data.val.size, data.test.size) == (18, 2, 5)
    assert data.test.x[:, 0, 0, 0].tolist() == list(range(5))


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    table(20, kind=["a"] * 20).save_to_disk(tmp_path / "set")
    for options, message in (
        ({}, "its split train has the columns photo, kind, and no image"),
        ({"column": "kind"}, "data.column=kind: holds Value"),
        ({"column": "photo", "label": "colour"}, "and no colour"),
    ):
        with pytest.raises(DataError, match=message) as error:
            ready(tmp_path / "set", **options)
        assert "\n" not in str(error.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="data.path=.*empty: cannot be loaded"):
        ready(tmp_path / "empty")


def test_a_picture_that_cannot_be_read_is_named_by_its_row(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(decode=False)})
    rows = [{"bytes": b"<svg onload='x'/>" if index == 11 else _png(index), "path": None} for index in range(30)]
    stored = datasets.Dataset.from_dict({"image": rows}, features=features).cast_column("image", datasets.Image())
    stored.save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match=r"set\[train\] row 11 cannot be read as a picture"):
        ready(tmp_path / "set")


def test_a_loading_script_is_not_executed(tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')")
    with pytest.raises(DataError, match="cannot be loaded"):
        ready(folder)
    assert not (tmp_path / "executed").exists()


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("genarena.data.huggingface.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install -e '\.\[huggingface\]'"):
        ready(tmp_path)


def test_flickr_from_disk(shared_data: Path) -> None:
    data = ready(shared_data / "flickr8k_mini")
    assert (data.train.size, data.val.size, data.test.size) == (540, 60, 77)


def _png(index: int) -> bytes:
    import io

    buffer = io.BytesIO()
    colours(index + 1)[index].save(buffer, format="PNG")
    return buffer.getvalue()
