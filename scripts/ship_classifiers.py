"""Train the domain classifiers of a data set and write them as genarena/evaluation/shipped_classifiers has them."""

import sys
from pathlib import Path

from genarena import cli, config
from genarena.options.script import Option
from genarena.options.values import Folder

USAGE = """python scripts/ship_classifiers.py data=<d> [data.<option>=...] out=<folder>

Writes <out>/<data id>.safetensors and prints the line of it for SHIPPED in genarena/evaluation/shipped.py. Training takes
minutes on one CPU core. The sha256 may differ by the rounding of `probe`, also where the weights are the same."""
OPTIONS = {"data": Option(str, ...), "out": Option(Folder, ...)}


def main() -> None:
    of_data = [argument for argument in sys.argv[1:] if argument.startswith("data.")]
    options = cli.options(
        OPTIONS, USAGE, [argument for argument in sys.argv[1:] if argument not in of_data], out_is_folder=True
    )
    cfg = config.compose(config.check(["model=uniform", "budget=smoke", f"data={options['data']}", *of_data]))

    from genarena.build import build
    from genarena.evaluation.classifier import recipe_hash
    from genarena.evaluation.classifier_training import trained
    from genarena.evaluation.shipped import write
    from genarena.files.progress import Bars

    data = build(cfg.data, "data")
    data.setup()
    with Bars() as bars:
        stored = trained(data, bars)
    digest = write(stored, Path(options["out"]) / f"{data.facts['id']}.safetensors")
    print(f"accuracy {stored['accuracy']:.4f}, skill {stored['skill']:.3f}")
    print(f'    "{data.facts["id"]}": Pin("{recipe_hash()}", "{digest}"),')


if __name__ == "__main__":
    cli.guard(main)
