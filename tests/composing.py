"""Tests compose thousands of configurations, a tenth of a second each, most of them of the same files.

The same command line is composed once, and what Hydra makes of the chosen files, before it sets the other options, is made
once; for as long as no file of the configuration changes. What a test gets is a copy of its own. Workers share what they
made by way of a folder, which ends with the tests.
"""

import atexit
import contextlib
import dataclasses
import hashlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Hashable
from os import replace  # what tests put in its place in `os` is not meant
from pathlib import Path
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.override_parser.types import Override

from genarena import config

SHARED = "GENARENA_TESTS_COMPOSED"  # the folder, in the environment of workers


def remember() -> None:
    """From now on, in this process."""
    if SHARED not in os.environ:
        os.environ[SHARED] = tempfile.mkdtemp(prefix="genarena-tests-")
        atexit.register(shutil.rmtree, os.environ[SHARED], ignore_errors=True)
    config.hydra_compose = _once(config.hydra_compose, lambda *asked, **named: (repr((asked, named)), os.getcwd()))
    config_loader_impl.create_defaults_list = _of_the_groups(config_loader_impl.create_defaults_list)
    of_defaults = ConfigLoaderImpl._compose_config_from_defaults_list
    ConfigLoaderImpl._compose_config_from_defaults_list = _once(of_defaults, lambda _, defaults, repo: repr(defaults))


def _once(make: Callable[..., Any], key: Callable[..., Hashable]) -> Callable[..., Any]:
    """`make`, which is called once for a key and a state of the files; what it raises is not kept."""
    kept: dict[Hashable, bytes] = {}

    def remembered(*asked: Any, **named: Any) -> Any:
        known = key(*asked, **named), _files()
        if known not in kept:
            name = hashlib.sha256(repr((make.__qualname__, known)).encode()).hexdigest()
            kept[known] = _shared(Path(os.environ[SHARED], name), lambda: pickle.dumps(make(*asked, **named)))
        return pickle.loads(kept[known])

    return remembered


def _shared(path: Path, make: Callable[[], bytes]) -> bytes:
    """What a worker made before, or what is made now; that is written too, unless there is no room."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    made = make()
    with contextlib.suppress(OSError):
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_bytes(made)
        replace(part, path)
    return made


def _of_the_groups(make: Callable[..., DefaultsList]) -> Callable[..., DefaultsList]:
    """Which files are chosen, and in which order, depends on the options that name a group, and on no others."""
    chosen = _once(make, lambda repo, config_name, overrides_list, **named: repr((config_name, overrides_list, named)))

    def remembered(
        repo: CachingConfigRepository, config_name: str, overrides_list: list[Override], **named: Any
    ) -> Any:
        others = Overrides(repo, overrides_list).config_overrides
        groups = [override for override in overrides_list if override not in others]
        found = chosen(repo=repo, config_name=config_name, overrides_list=groups, **named)
        return dataclasses.replace(found, config_overrides=others)

    return remembered


def _files() -> Hashable:
    """What stands in the folders of configurations, and when it was written."""
    groups = [path for folder in config.folders() for path in (folder, *folder.iterdir()) if path.is_dir()]
    return tuple((file.path, *_state(file)) for group in groups for file in os.scandir(group) if file.is_file())


def _state(file: os.DirEntry) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size
