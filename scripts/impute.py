"""Fill the holes of your own table with a finished run."""

import sys
from pathlib import Path
from typing import Literal

from genarena import cli
from genarena.errors import UserError
from genarena.files.atomic import check_writable, replace_atomically
from genarena.options.script import ALGORITHM, Option, read
from genarena.options.values import Count, Device, Folder, Seed, Something
from genarena.tasks.choosing import chosen

USAGE = """python scripts/impute.py run=<run folder> table=<.csv or .tsv with holes> out=<file>
    [fill=mean | draw] [num_draws=10] [seed=0]
    [algorithm=<name> [algorithm.<option>=<value>]] [data_root=<folder>] [device=cpu]

The columns are those of the run's data, in the same units and order, and with its names where both have them; categories are
numbers, as they were in training. Holes are empty cells, NaN or NA. fill=mean writes the
mean of the draws, fill=draw one of them."""
OPTIONS = {
    "run": Option(Folder, ...),
    "table": Option(Folder, ...),
    "out": Option(Folder, ...),
    "fill": Option(Literal["mean", "draw"], "mean"),
    "num_draws": Option(Count, 10),
    "seed": Option(Seed, 0),
    "data_root": Option(Folder | None),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    of_algorithm = [text for text in sys.argv[1:] if text.partition("=")[0].partition(".")[0] == "algorithm"]
    options = cli.options(OPTIONS, USAGE, [text for text in sys.argv[1:] if text not in of_algorithm], beside=ALGORITHM)
    given = read(of_algorithm, {text.partition("=")[0]: Option(Something) for text in of_algorithm})
    node = chosen("impute", {"num_draws": options["num_draws"], "seed": options["seed"], **given})
    out, table = Path(options["out"]), Path(options["table"])
    if out.resolve() == table.resolve():
        raise UserError(f"out={out}: is the table itself, which stays as it is")
    check_writable(out)

    from genarena.tasks.imputing.own_table import complete

    holed, filled, algorithm = complete(
        options["run"], table, node, options["fill"], options["data_root"], options["device"]
    )
    text = holed.completed(filled)
    replace_atomically(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    holes = int((holed.rows != holed.rows).sum())  # NaN
    print(f"{holes} holes in {len(holed.rows)} rows filled by {algorithm}: {out}")


if __name__ == "__main__":
    cli.guard(main)
