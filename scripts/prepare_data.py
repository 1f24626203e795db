"""Get a data set ready before a run needs it: download, check, unpack, decode, and write down what is there."""

import errno
import sys
from pathlib import Path

from omegaconf import OmegaConf

from genarena import cli, config
from genarena.errors import UserError
from genarena.options.script import DATA, Option
from genarena.options.values import Folder

USAGE = """python scripts/prepare_data.py data=<d> [data.root=<folder>] [data.mirror=<address or folder>] [data.<option>=...]
    [out=<json>]      the manifest; default <data.root>/<d>.manifest.json

Downloads what is not there (or says what to put where), checks it against the published sums, unpacks, reads every example
once, and writes the sha256 of every file. A manifest that is there is checked: exit code 4 when a file has changed since."""
OPTIONS = {"data": Option(str, ...), "out": Option(Folder | None)}


def main() -> None:
    of_data = [argument for argument in sys.argv[1:] if argument.startswith("data.")]
    options = cli.options(OPTIONS, USAGE, [a for a in sys.argv[1:] if a not in of_data], beside=DATA)
    checked = config.check(["model=uniform", f"data={options['data']}", *of_data])
    cfg = OmegaConf.to_container(config.compose(checked), resolve=True)["data"]
    out = Path(options["out"] or Path(cfg.get("root", "data")) / f"{options['data']}.manifest.json")

    from genarena.build import build  # heavy imports wait until the options are right
    from genarena.data.reading import manifest
    from genarena.runs import classes

    data = build(classes.unconditional(cfg), "data")
    data.setup()
    folder = data.location()
    files = manifest.describe(folder) if folder else {}
    if out.exists():
        manifest.compare(out, files)
    try:
        manifest.write(out, data.facts, files)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS):
            raise
        raise UserError(f"{out} cannot be written: name another file with out=<json>") from error
    print("\n".join(_summary(data.facts, folder, files)))
    print(f"manifest: {out}")


def _summary(facts: dict, folder: Path | None, files: dict) -> list[str]:
    """What is there, in a few lines."""
    lines = [f"{facts['id']}: {'x'.join(map(str, facts['shape']))}, {facts['num_levels'] or 'continuous'} levels"]
    lines += ["  " + ", ".join(f"{name} {count:,}" for name, count in facts["splits"].items())]
    shown = {key: facts[key] for key in ("part", "split", "cut", "skipped") if key in facts}
    lines += [f"  {key}: {value}" for key, value in shown.items()]
    if folder:
        lines += [f"  {len(files):,} files, {sum(file['bytes'] for file in files.values()) / 1e6:,.1f} MB in {folder}"]
    return lines


if __name__ == "__main__":
    cli.guard(main)
