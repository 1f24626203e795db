"""Put a folder of pictures into tar files for data=streaming, or index tar files that are there already."""

from pathlib import Path

from genarena import cli
from genarena.errors import UserError

USAGE = """python scripts/make_shards.py pictures=<folder> out=<folder> [shard_mb=128] [on_error=raise | skip]
python scripts/make_shards.py shards=<folder>"""


def main() -> None:
    defaults = {"pictures": None, "out": None, "shards": None, "shard_mb": 128, "on_error": "raise"}
    options = cli.options(defaults, USAGE, out_is_folder=True)
    given = [name for name in ("pictures", "out", "shards") if options[name] is not None]
    if given not in (["pictures", "out"], ["shards"]):
        raise UserError(f"expected pictures=... and out=..., or shards=... alone\n{USAGE}")
    if not Path(options[given[0]]).is_dir():
        raise UserError(f"{given[0]}={options[given[0]]}: there is no such folder")
    if options["shard_mb"] < 1:
        raise UserError(f"shard_mb={options['shard_mb']}: expected at least 1")
    if options["on_error"] not in ("raise", "skip"):
        raise UserError(f"on_error={options['on_error']}: expected raise or skip")

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
