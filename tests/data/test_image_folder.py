"""Folders of pictures as people have them: splits, classes that are links, files of other kinds, what is left out is said."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from genarena.data.image_folder import ImageFolder
from genarena.data.packing import pack
from genarena.data.reading.manifest import describe
from genarena.errors import DataError, UserError
from genarena.spec import DataSpec


def save(root: Path, folder: str, num: int, suffix: str = "png", level: int = 0) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(num):
        Image.new("L", (8, 8), level + index).save(root / folder / f"{index:02d}.{suffix}")


def ready(root: Path, **options: object) -> ImageFolder:
    data = ImageFolder(DataSpec((1, 8, 8), 256), root=str(root), image_size=8, channels=1, **options)
    data.setup()
    return data


def sizes(data: ImageFolder) -> tuple[int, int, int]:
    return data.train.size, data.val.size, data.test.size


def levels(data: ImageFolder, name: str) -> list[int]:
    return sorted(getattr(data, name).x[:, 0, 0, 0].tolist())


# -- what is walked ----------------------------------------------------------------------------------------------------


def test_copies_in_hidden_folders_are_no_data(tmp_path: Path) -> None:
    root = tmp_path / "in"
    save(root, "a", 20)
    save(root, "b", 20, level=50)
    before = ready(root).facts
    for folder in (".ipynb_checkpoints", "a/.ipynb_checkpoints", "__MACOSX/a"):
        save(root, folder, 10)
    (root / "a" / "._00.png").write_bytes(b"of a Mac")
    data = ready(root)
    assert data.facts == before and data.spec.num_classes == 2
    assert set(describe(root)) == {f"{kind}/{index:02d}.png" for kind in "ab" for index in range(20)}


def test_class_folders_that_are_links_are_classes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = tmp_path / "root"
    save(root, "a", 20)
    for kind in "bc":
        save(tmp_path / "elsewhere", kind, 20, level=50)
        (root / kind).symlink_to(tmp_path / "elsewhere" / kind)
    (root / "again").symlink_to(root / "a")
    data = ready(root)
    assert (sum(sizes(data)), data.spec.num_classes) == (60, 3)
    assert "1 links to folders that are read already, the first again" in capsys.readouterr().err


def test_other_suffixes_are_read_or_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save(tmp_path, ".", 12)
    for suffix in ("ppm", "avif", "jpg"):
        save(tmp_path, suffix, 5, suffix)
    for path in (tmp_path / "jpg").iterdir():
        path.rename(path.with_suffix(".jfif"))
    for name in ("a.heic", "b.HEIC", "notes.txt", "README"):
        (tmp_path / name).write_text("")
    assert sum(sizes(ready(tmp_path))) == 27
    said = capsys.readouterr().err
    assert said.count("\n") == 2  # these, and the pictures beside the folders
    assert "not taken for pictures: 2 .heic, 1 .txt, 1 no suffix\n" in said


def test_a_class_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "a", 20)
    save(tmp_path, "b", 20)
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", guarded)
        with pytest.raises(DataError, match=r"/b/? cannot be read: Permission denied$"):
            ready(tmp_path)


def test_a_picture_beside_the_classes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save(tmp_path, "a", 20)
    save(tmp_path, "b", 20)
    assert ready(tmp_path).spec.num_classes == 2
    assert not capsys.readouterr().err
    Image.new("L", (8, 8)).save(tmp_path / "cover.png")
    data = ready(tmp_path)
    assert data.spec.num_classes is None and data.train.y is None
    assert "cover.png lies beside the folders a, b" in capsys.readouterr().err


# -- splits ------------------------------------------------------------------------------------------------------------


def test_folders_of_splits_are_the_splits(tmp_path: Path) -> None:
    for part, level in (("train", 0), ("Validation", 100), ("test", 200)):
        save(tmp_path, f"{part}/cats", 6, level=level)
        save(tmp_path, f"{part}/dogs", 4, level=level + 50)
    data = ready(tmp_path)
    assert sizes(data) == (10, 10, 10) and data.spec.num_classes == 2
    for name, level in (("train", 0), ("val", 100), ("test", 200)):
        assert levels(data, name) == [*range(level, level + 6), *range(level + 50, level + 54)]
        split = getattr(data, name)
        assert torch.equal(split.y, (split.x[:, 0, 0, 0] >= level + 50).long())
    assert data.facts["split"] == "folders Validation, test, train"


def test_a_split_that_is_missing_is_a_tenth_of_the_training_part(tmp_path: Path) -> None:
    save(tmp_path, "train", 30)
    save(tmp_path, "test", 7, level=100)
    data = ready(tmp_path)
    assert sizes(data) == (27, 3, 7)
    assert levels(data, "test") == list(range(100, 107))
    assert sorted(levels(data, "train") + levels(data, "val")) == list(range(30))
    assert data.spec.num_classes is None


def test_a_class_may_be_named_like_a_split(tmp_path: Path) -> None:
    for kind in ("train", "bus"):
        save(tmp_path, kind, 20)
    assert ready(tmp_path).spec.num_classes == 2
    save(tmp_path, "test", 20)  # now two of the three are
    with pytest.raises(DataError, match="bus lies beside test, train, which are splits: move it away"):
        ready(tmp_path)


def test_shards_keep_the_splits(tmp_path: Path) -> None:
    for part, num in (("train", 12), ("val", 3), ("test", 5)):
        save(tmp_path / "in", part, num)
    assert pack(tmp_path / "in", tmp_path / "out", 1.0, "raise").pictures == 20
    assert {path.name for path in (tmp_path / "out").glob("*.tar")} == {
        f"{part}-000000.tar" for part in ("train", "val", "test")
    }


# -- files that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "words"), [("nowhere", "No such file"), ("/dev/zero", "it is no regular file")])
def test_a_link_that_leads_nowhere_or_to_a_device_is_a_broken_picture(tmp_path: Path, target: str, words: str) -> None:
    for folder in range(5):
        save(tmp_path, str(folder), 40, level=40 * folder)
    (tmp_path / "0" / "bad.png").symlink_to(target)
    with pytest.raises(DataError, match=rf"0/bad\.png \(picture \d+\) cannot be read as a picture: {words}") as error:
        ready(tmp_path)
    assert "\n" not in str(error.value)
    data = ready(tmp_path, on_error="skip")
    assert sum(sizes(data)) == 200 and data.facts["skipped"] == 1


def test_the_background_is_part_of_the_data_id(tmp_path: Path) -> None:
    for index in range(12):
        Image.new("RGBA", (8, 8), (index, 0, 0, 0)).save(tmp_path / f"{index}.png")
    white, black = ready(tmp_path), ready(tmp_path, background="black")
    assert (white.train.x == 255).all() and (black.train.x == 0).all()
    assert white.facts["id"] != black.facts["id"]
    assert black.facts["background"] == "black"
    with pytest.raises(DataError, match=r"data\.background=refuse|has transparent pixels"):
        ready(tmp_path, background="refuse")
    with pytest.raises(DataError, match="data.background=pink: expected white, grey, black, refuse"):
        ready(tmp_path, background="pink")


def test_animations_are_named_or_left_out_and_counted(tmp_path: Path) -> None:
    save(tmp_path, ".", 150)
    frames = [Image.new("L", (8, 8), level) for level in (1, 2)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"moving\.gif .* 2 frames in one file"):
        ready(tmp_path)
    assert ready(tmp_path, on_error="skip").facts["skipped"] == 1


def test_a_cache_that_cannot_be_made_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "in", 12)
    (tmp_path / "home").write_text("no folder")
    monkeypatch.delenv("GENARENA_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(UserError, match="set GENARENA_CACHE to a folder"):
        ready(tmp_path / "in")
