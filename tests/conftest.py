"""Settings for all tests: one torch thread per worker, offline trackers, and private cache and data folders."""

import gc
import os
import signal
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "offline")

import pytest

from tests import composing

# In the background of a shell SIGINT is ignored, and the programs that tests start would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
composing.remember()
os.fsync = lambda descriptor: None  # no test cuts the power, and a run waits for the disk a hundred times

ROOT = Path(__file__).parents[1]
SHARED_DATA = Path(os.environ.get("GENARENA_TEST_DATA") or ROOT.parent / "shared" / "data")


def pytest_configure() -> None:
    import torch  # after genarena, which leaves out what a run does not need

    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Ten thousand tests and their modules stay to the end: the garbage collector need not look at them again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def pytest_sessionfinish() -> None:
    """Libraries that look for leaks at the end find none."""
    gc.unfreeze()


def shared_cache(factory: pytest.TempPathFactory) -> Path:
    """One for all workers; the folder of a worker is in that of the session."""
    folder = factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cache"


@pytest.fixture(autouse=True)
def private_folders(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests away from the user's cache and data. Workers share a cache, so that a classifier is trained once."""
    monkeypatch.setenv("GENARENA_CACHE", str(shared_cache(tmp_path_factory)))
    monkeypatch.delenv("GENARENA_DATA", raising=False)
    for name in ("GENARENA_INCEPTION", "GENARENA_DINOV2", "GENARENA_CLIP", "GENARENA_CLIP_SCORE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shared_data() -> Path:
    """The folder with real data sets. The test is skipped if there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data sets are not at {SHARED_DATA.name} beside the checkout")
    return SHARED_DATA
