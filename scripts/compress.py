"""Write the first test images as a real compressed file, with the probabilities of a finished run, and decode it."""

import json
from importlib.util import find_spec
from pathlib import Path

from genarena import cli
from genarena.errors import UserError

USAGE = """python scripts/compress.py run=<run folder> out=<file> [num_images=100] [data_root=<folder>] [device=cpu]

Prints one line of JSON last. The size counts every byte of the file. The run folder's result.json, where there is one,
gets the record metrics.bits_on_disk."""


def main() -> None:
    defaults = {"run": ..., "out": ..., "num_images": 100, "data_root": None, "device": "cpu"}
    options = cli.options(defaults, USAGE)
    num_images, out = options["num_images"], Path(options["out"])
    if num_images < 1:
        raise UserError(f"num_images={num_images}: expected at least 1")
    if find_spec("constriction") is None:
        raise UserError("compression needs the package constriction: pip install -e '.[compression]'")

    from genarena import api

    record = api.compress(options["run"], out, num_images, options["data_root"], options["device"])
    print(
        f"{out}: {record['file_bytes']:,} bytes, of which {record['header_bytes']} are header and "
        f"{record['initial_bits'] // 8} initial bits; {record['coder']}, {record['encode_seconds']} s to encode, "
        f"{record['decode_seconds']} s to decode"
    )
    print(
        json.dumps(
            {
                "claimed_bits_per_dim": record["claimed"],
                "measured_bits_per_dim": record["value"],
                "png_bits_per_dim": record["png"],
                "webp_bits_per_dim": record["webp"],
                "lossless": record["lossless"],
            }
        )
    )


if __name__ == "__main__":
    cli.guard(main)
