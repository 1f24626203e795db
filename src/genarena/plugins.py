"""Plugins: packages of other people with models, data sets, metrics and tasks. Imports no torch.

An installed package is declared by an entry point of the group `genarena.plugins`, any other one by
`--config-dir <package>/conf` for one command. It has genarena's layout: `__init__.py`, `conf/`, `models/`, `data/`, `nets/`,
`metrics/`, `tasks/`.
"""

import os
import sys
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from genarena.errors import UserError

GROUP = "genarena.plugins"
VARIABLE = "GENARENA_CONFIG_DIR"  # passes `--config-dir` on to child processes


def declare(folder: str) -> None:
    """Apply `--config-dir <folder>` to this process and its children. Raises UserError if there is no such folder."""
    path = Path(os.path.expanduser(folder)).absolute()
    if not folder or not path.is_dir():
        raise UserError(f"--config-dir {folder}: there is no such folder")
    os.environ[VARIABLE] = str(path)
    packages()


def packages() -> dict[str, Path]:
    """Name -> folder of every declared package. Raises UserError for one that cannot be found."""
    return _packages(os.environ.get(VARIABLE))


def conf_folders() -> list[Path]:
    """The folders of configurations, besides genarena's own."""
    given = os.environ.get(VARIABLE)
    folders = [Path(given)] if given else []
    folders += [path / "conf" for path in packages().values() if (path / "conf").is_dir()]
    return list(dict.fromkeys(folders))


@lru_cache
def _packages(config_dir: str | None) -> dict[str, Path]:
    found = {}
    for point in entry_points(group=GROUP):
        if not point.value.isidentifier() or (path := _folder_of(point.value)) is None:
            raise UserError(f"plugin {point.name}: there is no package {point.value}")
        if any((path / "models").glob("*/*.py")) and not (path / "conf").is_dir():
            raise UserError(f"plugin {point.name}: {path} has models and no conf: its wheel leaves the YAML files out")
        found[point.value] = path
    package = Path(config_dir).parent if config_dir else None
    if package is not None and (package / "__init__.py").is_file():
        found[package.name] = _importable(package)
    elif package is not None and any(any(package.glob(f"{room}/**/*.py")) for room in ("models", "metrics")):
        raise UserError(f"--config-dir {config_dir}: {package} is no package, for it has no __init__.py")
    return found


def _importable(package: Path) -> Path:
    """Make a package that is not installed importable. Raises UserError if another package has its name."""
    if str(package.parent) not in sys.path:
        sys.path.append(str(package.parent))
    folder = _folder_of(package.name) if package.name.isidentifier() else None
    if folder is None or folder.resolve() != package.resolve():
        raise UserError(f"--config-dir: the package {package.name} cannot be imported: another one has its name")
    return package


def _folder_of(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
