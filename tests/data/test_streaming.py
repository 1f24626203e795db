"""Shards: every picture is in one of them and read as it is, batches resume exactly, ranks share none, addresses work."""

import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from genarena.config import compose
from genarena.data.packing import pack
from genarena.data.reading.pictures import IN_PROCESS
from genarena.data.reading.shard_index import INDEX, Shard, look_through, write_index
from genarena.data.reading.shards import Store, sources
from genarena.data.streaming import ShardBatches, Streaming, assigned, divided
from genarena.errors import DataError
from genarena.run import run
from genarena.runs import classes
from genarena.spec import DataSpec
from genarena.training.callbacks.budget import Budget
from tests.doors import script

NUM = 400


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes; the first two levels of a picture are its number."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(NUM):
        array = np.full((8, 8, 3), 100, np.uint8)
        array[..., 0], array[..., 1] = index // 250, index % 250
        kind = folder / ("even" if index % 2 == 0 else "odd")
        kind.mkdir(exist_ok=True)
        Image.fromarray(array).save(kind / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="module")
def shards(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    pack(pictures, folder, shard_mb=0.05, on_error="raise")
    return folder


def stream(path: Path | str, **options: object) -> Streaming:
    data = Streaming(DataSpec((3, 8, 8), 256), path=str(path), image_size=8, **options)
    data.setup()
    return data


def batches(
    data: Streaming, num: int, start: int = 0, rank: int = 0, world_size: int = 1, seed: int = 3
) -> list[torch.Tensor]:
    loader = ShardBatches(
        data.train,
        16,
        seed,
        shuffle=True,
        start=start,
        rank=rank,
        world_size=world_size,
        shard=data.shard,
        mixed=2,
    )
    return [batch.x for batch, _ in zip(loader, range(num), strict=False)]


def numbers(x: torch.Tensor) -> list[int]:
    return (250 * x[:, 0, 0, 0].long() + x[:, 1, 0, 0]).tolist()


def test_every_picture_is_in_one_shard_as_it_was(pictures: Path, shards: Path) -> None:
    store = Store(str(shards), 1.0)
    every = sources(store, store.index())
    originals = {path.read_bytes() for path in pictures.rglob("*.png")}
    assert len(every) == NUM
    assert {every.read(index) for index in range(NUM)} == originals
    assert len(list(shards.glob("train-*.tar"))) > 4
    assert all(path.stat().st_size <= 50_000 + tarfile.RECORDSIZE for path in shards.glob("*.tar"))


def test_splits_and_labels_are_those_of_the_folder(pictures: Path, shards: Path) -> None:
    from genarena.data.image_folder import ImageFolder

    streamed, read = stream(shards), ImageFolder(DataSpec((3, 8, 8), 256), root=str(pictures), image_size=8)
    read.setup()
    assert (streamed.train.size, streamed.val.size, streamed.test.size) == (320, 40, 40)
    assert streamed.spec.num_classes == 2
    for part in ("train", "val", "test"):
        found, expected = getattr(streamed, part), getattr(read, part)
        assert torch.equal(found.x[:], expected.x)
        assert torch.equal(found.y, expected.y)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_k_and_k_batches_are_2k_batches(shards: Path, num_workers: int) -> None:
    data = stream(shards, num_workers=num_workers, flip=True)
    assert data.train.size > IN_PROCESS  # else nothing is left to workers
    whole = batches(data, 50)  # two epochs and a half
    parts = batches(data, 25) + batches(stream(shards, num_workers=num_workers, flip=True), 25, start=25)
    assert torch.equal(torch.stack(whole), torch.stack(parts))
    assert torch.equal(torch.stack(whole), torch.stack(batches(stream(shards, num_workers=0, flip=True), 50)))


def test_a_run_that_stopped_goes_on_bitwise(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the second epoch, between two checkpoints."""

    def command(name: str) -> list[str]:
        return [
            "model=vae",
            "data=streaming",
            f"data.path={shards}",
            "data.image_size=8",
            "data.flip=true",
            "budget=smoke",
            "budget.examples=512",
            "budget.num_val=8",
            "model.training.batch_size=16",
            "callbacks.grid_size=1",
            "callbacks.progress=false",
            "metrics=[]",
            "logger=none",
            f"runs_dir={tmp_path / name}",
        ]

    def weights(name: str) -> dict[str, torch.Tensor]:
        (path,) = (tmp_path / name).glob("streaming/vae/*/checkpoints/last.ckpt")
        return torch.load(path, weights_only=True)["state_dict"]

    def stopped(self: Budget, *args: object) -> None:
        step(self, *args)
        if self.examples_seen >= 400:
            raise InterruptedError("stopped")

    run(compose(command("whole")))
    step = Budget.on_train_batch_end
    monkeypatch.setattr(Budget, "on_train_batch_end", stopped)
    with pytest.raises(InterruptedError):
        run(compose(command("parts")))
    monkeypatch.setattr(Budget, "on_train_batch_end", step)
    (folder,) = (tmp_path / "parts").glob("streaming/vae/*")
    run(compose([*command("parts"), f"resume={folder}"]))
    whole, parts = weights("whole"), weights("parts")
    assert [key for key in whole if not torch.equal(whole[key], parts[key])] == []


def test_an_epoch_shows_each_picture_once_in_an_order_of_its_own(shards: Path) -> None:
    data = stream(shards, num_workers=0)
    first, second = (numbers(torch.cat(batches(data, 20, start))) for start in (0, 20))
    assert sorted(first) == sorted(second) == sorted(numbers(data.train.x[:]))
    assert first != second
    assert first != numbers(torch.cat(batches(data, 20, seed=4)))


def test_a_cut_set_says_so_and_shows_its_pictures_only(shards: Path) -> None:
    data = stream(shards, num_workers=0, max_train=40)
    assert data.facts["id"].startswith("streaming-train40-")
    shown = numbers(torch.cat(batches(data, 6)))  # two batches of 16 an epoch
    assert set(shown) <= set(numbers(data.train.x[:]))
    assert len(set(shown[:32])) == 32


def test_the_script_makes_shards_or_says_why_not(pictures: Path, tmp_path: Path) -> None:
    done = script("make_shards.py", f"pictures={pictures}", f"out={tmp_path / 'out'}")
    assert done.stdout == f"400 pictures in 3 shards: {tmp_path / 'out'}\n"
    done = script("make_shards.py", "pictures=nowhere", "out=x")
    nowhere = Path("nowhere").absolute()
    assert (done.returncode, done.stderr) == (2, f"error: pictures={nowhere}: there is no such folder\n")


def test_ranks_have_shards_of_their_own(shards: Path) -> None:
    data = stream(shards, num_workers=0)
    shown = [numbers(torch.cat(batches(data, 30, rank=rank, world_size=2))) for rank in (0, 1)]
    where = dict(zip(numbers(data.train.x[:]), data.shard.tolist(), strict=True))
    own = [{where[number] for number in part} for part in shown]
    assert not own[0] & own[1]
    assert own[0] | own[1] == set(where.values())
    assert [len(part) for part in shown] == [30 * 8] * 2  # each rank gets its share of every batch
    with pytest.raises(DataError, match="make smaller shards"):
        batches(data, 1, world_size=16)


def test_shards_are_shared_out_evenly() -> None:
    assert assigned([5, 9, 1, 3], 2) == [[1], [0, 3, 2]]
    assert assigned([3], 2) == [[0], []]


def test_parts_without_shards_of_their_own_are_tenths_of_the_training_shards() -> None:
    def named(*names: str) -> list[Shard]:
        return [Shard(name, 0, "", []) for name in names]

    found = divided(named(*(f"imagenet-train-{index:03d}.tar" for index in range(20))))
    assert [len(found[part]) for part in ("train", "val", "test")] == [16, 2, 2]
    found = divided(named("a_train_0.tar", "a_train_1.tar", "validation.tar"))
    assert [shard.name for shard in found["val"] + found["test"]] == ["validation.tar", "a_train_1.tar"]
    with pytest.raises(DataError, match="at least 3 with train"):
        divided(named("contrain.tar", "b.tar"))


@pytest.fixture
def address(shards: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shards)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_gives_the_same_batches(shards: Path, address: str) -> None:
    here, there = stream(shards, num_workers=0), stream(address, num_workers=2)
    assert torch.equal(torch.stack(batches(here, 30)), torch.stack(batches(there, 30)))
    assert here.facts["checksum"] == there.facts["checksum"]
    assert here.facts["id"] == there.facts["id"]


def test_fetched_shards_take_no_more_than_their_share_of_the_disk(shards: Path, address: str) -> None:
    store = Store(address, cache_gb=1.5e-4)
    listed = store.index()
    for shard in [*listed, *reversed(listed)]:
        with store.open(shard) as file:
            assert file.read() == (shards / shard.name).read_bytes()
        assert sum(path.stat().st_size for path in store.folder.glob("*.tar")) <= 150_000


def test_what_comes_from_an_address_is_checked(shards: Path, address: str) -> None:
    store = Store(address, 1.0)
    first, second = store.index()[:2]
    with pytest.raises(DataError, match="its sha256 differs"):
        store.open(Shard(first.name, second.size, second.sha256, []))
    with pytest.raises(DataError, match=r"nowhere\.tar cannot be fetched"):
        store.open(Shard("nowhere.tar", 1, "", []))
    assert not list(store.folder.glob("*.tar"))


def test_a_protocol_whose_package_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*args: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", missing)
    with pytest.raises(DataError, match=r"Install s3fs to access S3 \(s3:// needs pip install -e '\.\[streaming\]'\)"):
        stream("s3://bucket/shards")


@pytest.mark.parametrize("options", [{"mixed_shards": 0}, {"cache_gb": -1.0}, {"on_error": "skip"}, {"channels": 2}])
def test_impossible_options_are_named(shards: Path, options: dict) -> None:
    (name,) = options
    with pytest.raises(DataError, match=f"data.{name}={options[name]}"):
        stream(shards, **options)


def test_shards_of_other_programs_are_indexed(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            for index in range(3):
                buffer = BytesIO()
                Image.new("RGB", (9, 9), (index, 0, 0)).save(buffer, format="JPEG")
                for suffix, content in (("jpg", buffer.getvalue()), ("cls", b"%d" % (2 - index)), ("json", b"{}")):
                    entry = tarfile.TarInfo(f"some.folder/{index}.{suffix}")
                    entry.size = len(content)
                    archive.addfile(entry, BytesIO(content))
    with pytest.raises(DataError, match="make_shards.py shards=<folder> makes it"):
        stream(tmp_path)
    assert [len(shard.members) for shard in write_index(tmp_path)] == [3, 3, 3]
    data = stream(tmp_path)
    assert data.test.y.tolist() == [2, 1, 0]
    assert data.spec.num_classes == 3
    with open(tmp_path / "train.tar", "ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match="train.tar is not there, or not the file of"):
        stream(tmp_path)


def several(folder: Path, files: dict[str, object]) -> Path:
    """Shards of three examples each with these files per key; a picture is told by its red level."""
    for name in ("train", "val", "test"):
        with tarfile.open(folder / f"{name}.tar", "w") as archive:
            for index in range(3):
                for suffix, value in files.items():
                    buffer = BytesIO()
                    if suffix.endswith(("png", "jpg")):
                        Image.new("RGB", (9, 9), (value, 0, 0)).save(buffer, format="PNG")
                    else:
                        buffer.write(str(value).encode())
                    entry = tarfile.TarInfo(f"part.1/{index}.{suffix}")
                    entry.size = buffer.tell()
                    archive.addfile(entry, BytesIO(buffer.getvalue()))
    write_index(folder)
    return folder


def test_a_key_ends_at_the_first_dot(tmp_path: Path) -> None:
    folder = several(tmp_path, {"input.png": 1, "cls": 1})
    assert stream(folder).test.y.tolist() == [1, 1, 1]
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    several(mixed, {"jpg": 1, "seg.png": 2, "cls": 1, "json": "{}"})
    with pytest.raises(
        DataError, match=r"several pictures of one key \(.*: choose by data\.picture=jpg or .*=seg\.png"
    ):
        stream(mixed)
    with pytest.raises(DataError, match=r"data\.picture=png: .* has no such pictures, it has jpg, seg\.png"):
        stream(mixed, picture="png")
    jpg, mask = stream(mixed, picture="jpg"), stream(mixed, picture=".seg.png")
    assert jpg.train.x[:][:, 0].unique().tolist() == [1] and mask.train.x[:][:, 0].unique().tolist() == [2]
    assert jpg.train.y.tolist() == mask.train.y.tolist() == [1, 1, 1]
    assert jpg.facts["id"] != mask.facts["id"]


def test_captions_are_refused_in_one_line(shards: Path) -> None:
    line = ["model=vae", "data=streaming", f"data.path={shards}", "data.condition=caption", "budget=smoke"]
    with pytest.raises(DataError, match="data.condition=caption: streaming reads no captions from shards") as told:
        classes.resolved(OmegaConf.to_container(compose(line), resolve=True))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("label", [-1, "cat", "", "3.5", "1_0", 10**6, 10**20])
def test_what_is_no_label_is_named_before_training(tmp_path: Path, label: object) -> None:
    with pytest.raises(DataError, match=rf"test\.tar/part\.1/0\.cls holds the label '?{label}.*from 0 to 999,999"):
        several(tmp_path, {"png": 1, "cls": label})


@pytest.mark.parametrize("label", [-1, "cat", 2.0, True, 10**20])
def test_labels_in_an_index_are_checked_too(tmp_path: Path, label: object) -> None:
    folder = several(tmp_path, {"png": 1, "cls": 1})
    index = json.loads((folder / INDEX).read_text())
    index["shards"][0]["members"][1][3] = label
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"test\.tar/part\.1/1\.png holds the label"):
        stream(folder)


def test_labels_that_some_pictures_lack_are_left_out_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = several(tmp_path, {"png": 1, "cls": 1})
    assert stream(folder).spec.num_classes == 2 and not capsys.readouterr().err
    index = json.loads((folder / INDEX).read_text())
    index["shards"][0]["members"][1][3] = None
    (folder / INDEX).write_text(json.dumps(index))
    assert stream(folder).train.y is None
    assert "1 of 9 pictures" in capsys.readouterr().err


def test_shards_and_index_are_regular_files(tmp_path: Path) -> None:
    folder = several(tmp_path, {"png": 1})
    (folder / "._train.tar").write_bytes(b"of a Mac")
    assert [shard.name for shard in write_index(folder)] == ["test.tar", "train.tar", "val.tar"]
    (folder / "zero.tar").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"zero\.tar: it is no regular file"):
        write_index(folder)
    (folder / INDEX).unlink()
    (folder / INDEX).symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"index\.json cannot be read: it is no regular file"):
        stream(folder)


def test_an_older_index_goes_on_where_keys_have_one_dot(shards: Path, tmp_path: Path) -> None:
    for path in shards.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    index = json.loads((tmp_path / INDEX).read_text()) | {"version": 1}
    (tmp_path / INDEX).write_text(json.dumps(index))
    assert stream(tmp_path).facts == stream(shards).facts
    index["shards"][0]["members"][0][0] = "7.seg.png"
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"older version: make it again with make_shards\.py"):
        stream(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../../outside.tar"}, "is no name of a shard"),
        ({"size": 10}, "pictures outside itself"),
        ({"members": [["a.png", -1, 5, None]]}, "pictures outside itself"),
        ({"surprise": 1}, "is no index of shards"),
    ],
)
def test_a_hostile_index_is_refused(shards: Path, tmp_path: Path, change: dict, message: str) -> None:
    index = json.loads((shards / INDEX).read_text())
    index["shards"][0] |= change
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(DataError, match=message):
        stream(tmp_path)


def test_a_picture_that_cannot_be_read_is_left_out_when_shards_are_made(pictures: Path, tmp_path: Path) -> None:
    for path in pictures.rglob("*.png"):
        (tmp_path / "in" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / path.parent.name / path.name).symlink_to(path)
    broken = tmp_path / "in" / "odd" / "zzz.png"
    broken.write_text("<html>")
    with pytest.raises(DataError, match=r"zzz\.png .* cannot be read as a picture"):
        pack(tmp_path / "in", tmp_path / "out", 1.0, "raise")
    done = pack(tmp_path / "in", tmp_path / "other", 1.0, "skip")
    assert (done.pictures, done.skipped) == (NUM, 1)
    assert sum(len(look_through(path).members) for path in (tmp_path / "other").glob("*.tar")) == NUM
    with pytest.raises(DataError, match="there are shards in it"):
        pack(tmp_path / "in", tmp_path / "other", 1.0, "skip")
