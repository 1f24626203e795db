"""What became of a sweep: how many trials are done, running, pruned and failed, which are best, which options matter."""

from pathlib import Path

from omegaconf import OmegaConf

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import Option
from genarena.options.values import Folder
from genarena.search import sweep_report

USAGE = """python scripts/sweep_status.py sweep=<name or folder> [runs_dir=runs] [storage=<url>]

A name shows every sweep of that name below runs_dir; storage is the database it was started with, if it was (also
GENARENA_SWEEP_STORAGE)."""
OPTIONS = {"sweep": Option(str, ...), "runs_dir": Option(Folder, "runs"), "storage": Option(str | None)}


def main() -> None:
    options = cli.options(OPTIONS, USAGE)
    for folder in _folders(options["sweep"], Path(options["runs_dir"])):
        _, study = sweep_report.open_study(folder, options["storage"])
        print(sweep_report.report(folder, study).text)


def _folders(name: str, runs_dir: Path) -> list[Path]:
    folder = Path(name).expanduser()
    if (folder / sweep_report.DESCRIPTION).is_file():
        return [folder]
    known = {
        path.parent: OmegaConf.load(path).name for path in sorted(runs_dir.glob(f"**/*/{sweep_report.DESCRIPTION}"))
    }
    found = [folder for folder, own in known.items() if name in (own, folder.name)]
    if not found:
        raise UserError(
            f"sweep={name}: there is no such sweep below {runs_dir}; "
            f"there are {', '.join(sorted({*known.values()})) or 'none'}"
        )
    return found


if __name__ == "__main__":
    cli.guard(main)
