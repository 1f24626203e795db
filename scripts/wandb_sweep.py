"""Write a W&B sweep file from `conf/sweep/<name>.yaml`; then `wandb sweep <file>` and `wandb agent <id>`."""

import sys
from pathlib import Path

from omegaconf import OmegaConf

from genarena import cli, config
from genarena.errors import UserError
from genarena.files.atomic import replace_atomically
from genarena.options.script import Option
from genarena.options.values import Folder

USAGE = """python scripts/wandb_sweep.py sweep=<name> data=<d> [out=wandb_sweep.yaml] [option=value ...]

Options given here are fixed in every run and leave the search."""


def main() -> None:
    own = [argument for argument in sys.argv[1:] if argument.startswith(("out=", "-"))]
    out = Path(cli.options({"out": Option(Folder, "wandb_sweep.yaml")}, USAGE, own)["out"])
    overrides = config.check([argument for argument in sys.argv[1:] if argument not in own])
    if not any(text.startswith("sweep=") for text in overrides):
        raise UserError(f"sweep=<name> is missing; available: {', '.join(config.available('sweep'))}")

    from genarena.search.wandb_sweep import wandb_sweep

    made = OmegaConf.create(wandb_sweep(overrides), flags={"allow_objects": False})
    replace_atomically(out, lambda temporary: OmegaConf.save(made, temporary, resolve=False))
    print(f"written: {out}\nwandb sweep {out}")


if __name__ == "__main__":
    cli.guard(main)
