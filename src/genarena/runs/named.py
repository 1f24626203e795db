"""Run folders as a command line names them. Imports no torch."""

from pathlib import Path

from genarena.errors import UserError
from genarena.options.values import absolute
from genarena.runs import results


def folders(text: str) -> list[Path]:
    """The run folders of `run=<text>`: folders with commas between them, each of a run, or one below which finished runs lie,
    such as `runs/mnist`; or a pattern of run folders, such as `runs/mnist/*/*`.

    Raises UserError for a name without a run.
    """
    names = [text] if Path(absolute(text)).exists() else [part for part in text.split(",") if part.strip()]
    found = [path for name in names for path in _of(absolute(name))]
    if not found:
        raise UserError(f"run={text}: expected the folder of a run")
    return list(dict.fromkeys(found))


def _of(name: str) -> list[Path]:
    path = Path(name)
    if (path / "config.yaml").is_file():
        return [path]
    if path.is_dir():
        configs = path.glob("**/config.yaml")
    elif any(letter in name for letter in "*?["):
        root = Path(path.anchor)
        configs = root.glob(str((path / "config.yaml").relative_to(root)))
    else:
        raise UserError(f"{name}: there is no run (no config.yaml) in that folder")
    runs = [config.parent for config in sorted(configs) if results.is_finished(config.parent / "result.json")]
    if not runs:
        raise UserError(f"{name}: there is no finished run")
    return runs
