"""Sets of picture files: decoded once or each time, left out, cut, and what a worker that hangs does."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genarena.data import picture_set
from genarena.data.batches import Batches
from genarena.data.image_folder import ImageFolder
from genarena.data.reading import pictures
from genarena.data.reading.decoding import Recipe
from genarena.data.reading.pictures import Pictures, Sources
from genarena.errors import DataError
from genarena.spec import DataSpec

SIZE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(240):
        Image.fromarray(rng.integers(0, 256, (12, 10, 3), np.uint8)).save(root / f"{index:03d}.png")
    return root


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes, however few pictures there are."""
    monkeypatch.setattr(pictures, "IN_PROCESS", 0)


def ready(root: Path, **options: object) -> ImageFolder:
    data = ImageFolder(DataSpec((3, SIZE, SIZE), 256), root=str(root), image_size=SIZE, **options)
    data.setup()
    return data


def take(data: ImageFolder, num: int, start: int = 0) -> list[torch.Tensor]:
    batches = Batches(data.train, 16, seed=3, shuffle=True, start=start, augment=data.augment)
    return [batch.x for batch, _ in zip(batches, range(num), strict=False)]


def test_decoding_once_or_always_gives_the_same_data_and_the_same_batches(folder: Path, workers: None) -> None:
    once, always = ready(folder, decode="once", flip=True), ready(folder, decode="always", flip=True, num_workers=2)
    assert isinstance(once.train.x, torch.Tensor) and isinstance(always.train.x, Pictures)
    assert once.facts == always.facts
    assert torch.equal(once.train.x, always.train.x[:])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for x, other in zip(take(once, 30), take(always, 30), strict=True):  # more than two epochs
        assert torch.equal(x, other)
    assert torch.equal(torch.get_rng_state(), before)  # the loader leaves the run's random state alone
    assert torch.equal(take(always, 1, start=17)[0], take(once, 18)[17])
    assert always.seen is None and "mirror" in always.unseen  # else neighbours would be searched among half of them
    assert torch.equal(torch.cat(list(always.train.x.split(50))), once.train.x)
    assert torch.equal(always.train.x.flatten(1)[3:5], once.train.x[3:5].flatten(1))
    in_order = torch.cat([batch.x for batch in Batches(always.train, 50)])
    assert torch.equal(in_order, once.train.x)


def test_a_picture_that_breaks_later_is_named_with_its_place(folder: Path, tmp_path: Path, workers: None) -> None:
    root = broken(folder, tmp_path)
    data = ready(root, decode="always", num_workers=2)
    assert not next(iter(data.train.x.batches([slice(5, 5)]))).numel()  # a rank without examples
    name = data.train.x.sources.names[100]
    (root / name).write_bytes(b"<html>")
    with pytest.raises(DataError, match=rf"{name} \(picture 100\) cannot be read as a picture: none of PNG"):
        list(data.train.x.split(16))
    with pytest.raises(DataError, match=rf"{name} \(picture 100\)"):
        data.train.x[90:110]
    (root / name).unlink()
    with pytest.raises(DataError, match=rf"{name} \(picture 100\) .* No such file"):
        data.train.x[100:101]


def test_a_second_process_decodes_nothing_and_changed_files_are_read_again(folder, tmp_path, monkeypatch) -> None:
    first = ready(folder)
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "decode", lambda *_: pytest.fail("decoded again"))
        assert ready(folder).facts == first.facts
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (12, 10)).save(copy / "000.png")
    assert ready(copy).facts["id"] != first.facts["id"]


def test_damage_to_what_was_decoded_is_found(folder: Path, tmp_path: Path) -> None:
    ready(folder)
    (path,) = (p for p in (tmp_path / "cache").rglob("*.u8") if p.stat().st_size == 192 * SIZE * SIZE * 3)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"\.u8 is damaged: remove it"):
        ready(folder)
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="is damaged"):
        ready(folder)


def test_an_interrupted_decoding_leaves_nothing_that_is_used(folder, tmp_path, monkeypatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(picture_set.json, "dumps", killed)  # pixels are written, what is known of them is not
        with pytest.raises(KeyboardInterrupt):
            ready(folder)
    (pixels,) = (tmp_path / "cache").rglob("*.u8")
    pixels.write_bytes(b"half")
    pixels.with_name(f".{pixels.name}.1234").write_bytes(b"left by kill -9")
    assert ready(folder).train.size == 192
    assert not list((tmp_path / "cache").rglob(".*.u8.*"))


def broken(folder: Path, tmp_path: Path, *numbers: int) -> Path:
    copy = tmp_path / "broken"
    copy.mkdir()
    for path in folder.iterdir():
        content = path.read_bytes()
        (copy / path.name).write_bytes(content[:-90] if int(path.stem) in numbers else content)
    return copy


def test_a_damaged_picture_is_named_or_left_out_and_counted(folder, tmp_path, capsys) -> None:
    root = broken(folder, tmp_path, 3)
    with pytest.raises(DataError, match=r"003\.png \(picture \d+\) cannot be read .*data\.on_error=skip"):
        ready(root)
    data = ready(root, on_error="skip")
    assert data.train.size + data.val.size + data.test.size == 239
    assert data.facts["skipped"] == 1
    assert "skipped" not in ready(folder).facts
    assert data.facts["id"] != ready(folder).facts["id"]
    assert "1 of 24 pictures of test cannot be read" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"003\.png"):  # also when the pictures were decoded by an earlier run
        ready(root)
    always = ready(root, on_error="skip", decode="always")
    assert always.facts == data.facts
    assert torch.equal(always.train.x[:], data.train.x)


def test_skipping_stops_at_one_in_a_hundred(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data.on_error=skip leaves out at most 1% of a set"):
        ready(broken(folder, tmp_path, 10, 20, 30), on_error="skip")  # of 240


def test_cuts_are_nested_fixed_and_in_the_id(folder: Path) -> None:
    whole, ten, five = ready(folder), ready(folder, max_train=10, seed=5), ready(folder, max_train=5, max_test=2)
    assert (ten.train.size, ten.val.size, ten.test.size) == (10, 24, 24)
    assert torch.equal(ten.train.x[:5], five.train.x)
    assert torch.equal(ten.test.x, whole.test.x)
    known = {bytes(x.numpy()) for x in whole.train.x}
    assert all(bytes(x.numpy()) in known for x in ten.train.x)
    assert not torch.equal(ten.train.x, whole.train.x[:10])
    assert ten.facts["id"].startswith("image_folder-train10-")
    assert five.facts["id"].startswith("image_folder-train5-test2-")
    assert five.facts["cut"] == {"train": 5, "test": 2}
    assert ready(folder, max_train=1000).facts == whole.facts  # nothing was cut
    with pytest.raises(DataError, match=r"data\.max_val=0"):
        ready(folder, max_val=0)


@dataclass(frozen=True)
class Hanging(Sources):
    """The picture named `bad` sends its reader a signal."""

    number: int = signal.SIGSTOP
    bad: str = "100.png"

    def read(self, index: int) -> bytes:
        if self.names[index] == self.bad:
            os.kill(os.getpid(), self.number)
        return super().read(index)


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGSTOP, r"takes longer than data\.timeout=1 s"), (signal.SIGKILL, "a process died")]
)
def test_a_worker_that_stops_or_dies_ends_the_job_and_says_where(folder, number, words) -> None:
    names = 2 * sorted(path.name for path in folder.iterdir())
    pictures = Pictures(Hanging(folder, names, number), Recipe((3, SIZE, SIZE)), num_workers=1, timeout=1.0)
    with pytest.raises(DataError, match=words) as refused:
        list(pictures.batches(slice(first, first + 8) for first in range(0, 480, 8)))
    if number == signal.SIGSTOP:
        assert "096.png (picture 96) to " in str(refused.value)
    gone([child.pid for child in multiprocessing.active_children()])


def gone(pids: list[int]) -> None:
    """Wait for processes to end."""
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_workers_end_with_their_parent(folder: Path, tmp_path: Path) -> None:
    code = f"""
import os, signal, multiprocessing
from pathlib import Path
from genarena.data.reading.decoding import Recipe
from genarena.data.reading.pictures import Pictures, Sources
names = 4 * sorted(path.name for path in Path({str(folder)!r}).iterdir())
pictures = Pictures(Sources(Path({str(folder)!r}), names), Recipe((3, 8, 8)), num_workers=2)
batches = pictures.batches(slice(first, first + 8) for first in range(0, 960, 8))
next(batches)
print(*[child.pid for child in multiprocessing.active_children()], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    gone(pids)
