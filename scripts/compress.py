"""Write the first test images as a real compressed file, with the probabilities of a finished run, and decode it.

`coder=flac`: the first test segments of a run on sound as FLAC, which no model has a part in."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import Option
from genarena.options.values import Count, Device, Folder

USAGE = """python scripts/compress.py run=<run folder> out=<file> [num_images=100] [data_root=<folder>] [device=cpu]
       python scripts/compress.py coder=flac run=<run folder on sound> out=<file>.flac [num_images=100]

Prints one line of JSON last. The size counts every byte of the file. The run folder's result.json, where there is one,
gets the record metrics.bits_on_disk. FLAC is of the data alone, and goes into no row."""
OPTIONS = {
    "run": Option(Folder, ...),
    "out": Option(Folder, ...),
    "num_images": Option(Count, 100),
    "data_root": Option(Folder | None),
    "device": Option(Device, "cpu"),
    "coder": Option(Literal["model", "flac"], "model"),
}


def main() -> None:
    options = cli.options(OPTIONS, USAGE)
    out = Path(options["out"])
    if options["coder"] == "flac":
        record = compress_as_flac(options["run"], out, options)
        facts = {"flac_bits_per_sample": record["value"], "segments": record["n"], "lossless": record["lossless"]}
        print(f"{out}: {record['file_bytes']:,} bytes")
        print(json.dumps(facts))
        return
    if find_spec("constriction") is None:
        raise UserError("compression needs the package constriction: pip install -e '.[compression]'")

    record = compress(options["run"], out, options)
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


def compress_as_flac(run: str, out: Path, options: dict) -> dict:
    """The record of the file."""
    from genarena.api import load_data
    from genarena.compression.sounds import measure_flac

    data = load_data(run, options["data_root"])
    return measure_flac(first(data, options["num_images"]), data.spec, out)


def first(data, num: int):
    """The first test examples. Raises UserError if there are fewer."""
    if num > data.test.size:
        raise UserError(f"num_images={num}: the test split of {data.name} has {data.test.size:,}")
    return data.test.x[:num]


def compress(run: str, out: Path, options: dict) -> dict:
    """The record of the file, which becomes `metrics.bits_on_disk` of the run's row."""
    from genarena.api import load_data
    from genarena.compression.file import Codec, coder_for
    from genarena.compression.report import add_to_row, measure
    from genarena.files.progress import Bars
    from genarena.runs.folder import RunFolder

    folder, num_images = RunFolder.open(run), options["num_images"]
    cfg, model = folder.rebuild(options["device"])
    coder_for(model)  # a model that cannot be coded with is refused before the data is read
    data = load_data(run, options["data_root"])
    x, seed = first(data, num_images), cfg["evaluation"]["sample_seed"]
    with Bars() as bars:
        record = measure(Codec(model, cfg["model"], data.facts["id"]), x, out, bars, seed)
    record["split"] = "test" if num_images == data.test.size else f"test[:{num_images}]"
    add_to_row(folder, record)
    return record


if __name__ == "__main__":
    cli.guard(main)
