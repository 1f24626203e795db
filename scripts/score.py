"""Score images made elsewhere under the same protocol as a model's own samples."""

import json
import sys
from pathlib import Path

from omegaconf import OmegaConf

from genarena import cli, config
from genarena.errors import UserError
from genarena.metrics import check as check_metrics
from genarena.options.script import DATA, FEATURES, METRICS, Option, features
from genarena.options.values import Folder, Seed

GRID = 64
USAGE = """python scripts/score.py samples=<folder|npz> (data=<d> [data.<option>=...] | reference=<folder|npz>) name=<n>
    metrics=[fid,kid] [evidence.<kind>.<option>=<value>] [metric.<metric>.<option>=<value>] [out=<json>]
    [features.{inception,dinov2,clip,efficientnet}_weights=<file>]
    [runs_dir=runs budget=<b> seed=0]      a row, marked as imported, on the table of that data set and budget

Pictures are 8-bit; an .npz file holds levels, uint8 (N, C, H, W) or (N, H, W, C), as scripts/sample.py writes them. With
budget=<b>, the metrics and the numbers of images are those of its protocol, chosen by a
hash of their content; without, every image counts."""
OPTIONS = {
    "samples": Option(Folder, ...),
    "name": Option(str, ...),
    "data": Option(str | None),
    "reference": Option(Folder | None),
    "metrics": Option(list[str] | None),
    "budget": Option(str | None),
    "seed": Option(Seed, 0),
    "runs_dir": Option(Folder | None),
    "out": Option(Folder | None),
    **FEATURES,
}


def main() -> None:
    of_data = [argument for argument in sys.argv[1:] if argument.startswith("data.")]
    typed, others = cli.of_metrics([argument for argument in sys.argv[1:] if argument not in of_data])
    options = cli.options(OPTIONS, USAGE, others, beside=(*DATA, *METRICS))
    _check(options, of_data)
    # The groups must be chosen all: `uniform` is no part of it, `digits` and `paper` only where nothing reads them.
    chosen = [f"data={options['data'] or 'digits'}", f"budget={options['budget'] or 'paper'}", *of_data]
    cfg = OmegaConf.to_container(config.compose(config.check(["model=uniform", *chosen])), resolve=True)
    metrics = options["metrics"] if options["metrics"] is not None else cfg["metrics"]

    from genarena.build import build
    from genarena.data.reading.samples import image_spec, read_images
    from genarena.evaluation.asked import options_of
    from genarena.evaluation.pictures import save_samples
    from genarena.evaluation.row import metric_lines
    from genarena.files.atomic import replace_atomically
    from genarena.files.progress import Bars
    from genarena.published import imported
    from genarena.runs import results
    from genarena.runs.folder import RunFolder

    imported.check_name(options["name"])
    if options["metrics"] is not None:
        imported.check_askable(metrics, has_training_set=bool(options["data"]))
    with Bars() as bars:
        if options["data"]:
            data = build(cfg["data"], "data")
            data.setup()
            if not data.spec.is_image or not data.spec.is_discrete:
                raise UserError(f"data={options['data']}: holds vectors, and score.py takes images")
        else:
            real = read_images(Path(options["reference"]), lossless=False, bars=bars)
            data = imported.ImportedReference(real, image_spec(real))
            data.setup()
        images = read_images(Path(options["samples"]), data.spec, data.background, bars=bars)
    sizes = options_of(cfg) if options["budget"] else imported.everything(images, data)
    own, backbones = sizes | typed, cfg["evaluation"]["features"] | features(options)
    settings = build(cfg["evaluation"] | {"features": backbones}, "evaluation")
    records, number = imported.score(images, data, metrics, settings, own), imported.number_of_images(metrics, own)

    brightest = max(int(images.max()), int(data.test.x.max()))
    if options["reference"] and brightest < 128:
        print(f"note: the brightest level is {brightest}, where 255 is white: networks see nearly black images")
    print("\n".join([f"{options['name']} against {data.facts['id']}, {number:,} images", *metric_lines(records)]))
    if options["runs_dir"]:
        folder = RunFolder.create(Path(options["runs_dir"]), options["data"], options["name"], options["seed"])
        save_samples(images[:GRID], data.spec, folder.samples / "final.png")
        row = imported.imported_row(
            options["name"], data, records, settings, own, cfg["budget"], options["seed"], folder.path.name
        ) | {"images": imported.identity(images, number)}
        results.write_row(row, folder.result)
        print(f"run: {folder.path}")
    text = json.dumps(records, indent=2, allow_nan=False)
    if options["out"]:
        replace_atomically(Path(options["out"]), lambda temporary: temporary.write_text(text + "\n"))
        print(f"out: {options['out']}")
    elif not options["runs_dir"]:
        print(text)


def _check(options: dict, of_data: list[str]) -> None:
    """What can be said about the options before anything is imported."""
    if bool(options["data"]) == bool(options["reference"]):
        raise UserError("one of data=<name> and reference=<folder|npz> is needed")
    if of_data and not options["data"]:
        raise UserError(f"{of_data[0]}: goes with data=<name>")
    if options["metrics"] is None and not options["budget"]:
        raise UserError("metrics=[...] is missing, e.g. metrics=[fid,kid]")
    if options["metrics"] is not None:
        check_metrics(options["metrics"])
    if options["runs_dir"] and not (options["data"] and options["budget"]):
        raise UserError("runs_dir: a row needs data=<name> and budget=<name>, which say on what table it stands")


if __name__ == "__main__":
    cli.guard(main)
