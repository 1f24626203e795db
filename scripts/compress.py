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

    from genarena.build import build
    from genarena.compression.file import coder_for
    from genarena.compression.report import measure
    from genarena.files.progress import Bars
    from genarena.runs import results
    from genarena.runs.folder import RunFolder

    folder = RunFolder.open(options["run"])
    cfg, model = folder.rebuild(options["device"])
    coder_for(model)  # a model that cannot be coded with is refused before the data is read
    if options["data_root"]:
        cfg["data"]["root"] = options["data_root"]
    data = build(cfg["data"], "data")
    data.setup()
    if num_images > data.test.size:
        raise UserError(f"num_images={num_images}: the test split of {data.name} has {data.test.size:,}")
    data_id = data.facts["id"]
    if folder.result.exists() and (trained := results.read_row(folder.result)["data"]["id"]) != data_id:
        raise UserError(f"the data is {data_id} here, and the run was trained on {trained}")
    with Bars() as bars:
        record = measure(
            model, cfg["model"], data.test.x[:num_images], data_id, out, bars, seed=cfg["evaluation"]["sample_seed"]
        )
    record["split"] = "test" if num_images == data.test.size else f"test[:{num_images}]"
    _add_to_row(results, folder, record)
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


def _add_to_row(results, folder, record: dict) -> None:
    """Put the record beside the metrics of a finished run."""
    with folder.locked():
        if not folder.result.exists():
            return
        row = results.read_row(folder.result)
        if row["status"] == "ok":
            row["metrics"]["bits_on_disk"] = record
            results.write_row(row, folder.result)


if __name__ == "__main__":
    cli.guard(main)
