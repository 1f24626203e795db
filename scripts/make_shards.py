"""Put a folder of pictures into tar files for data=streaming, or index tar files that are there already."""

from pathlib import Path
from typing import Literal

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import Option
from genarena.options.values import Count, Folder

USAGE = """python scripts/make_shards.py pictures=<folder> out=<folder> [shard_mb=128] [on_error=raise | skip]
python scripts/make_shards.py shards=<folder>"""
OPTIONS = {
    **dict.fromkeys(("pictures", "out", "shards"), Option(Folder | None)),
    "shard_mb": Option(Count, 128),
    "on_error": Option(Literal["raise", "skip"], "raise"),
}


def main() -> None:
    options = cli.options(OPTIONS, USAGE, out_is_folder=True)
    given = [name for name in ("pictures", "out", "shards") if options[name] is not None]
    if given not in (["pictures", "out"], ["shards"]):
        raise UserError("expected pictures=... and out=..., or shards=... alone")
    if not Path(options[given[0]]).is_dir():
        raise UserError(f"{given[0]}={options[given[0]]}: there is no such folder")

    from genarena.data.packing import pack  # heavy imports wait until the options are right
    from genarena.data.reading.shard_index import INDEX, write_index

    if options["shards"] is not None:
        shards = write_index(Path(options["shards"]))
        print(
            f"{sum(len(shard.members) for shard in shards):,} pictures in {len(shards)} shards: {options['shards']}/{INDEX}"
        )
        return
    done = pack(Path(options["pictures"]), Path(options["out"]), options["shard_mb"], options["on_error"])
    left = f", {done.skipped} left out" if done.skipped else ""
    print(f"{done.pictures:,} pictures in {done.shards} shards{left}: {options['out']}")


if __name__ == "__main__":
    cli.guard(main)
