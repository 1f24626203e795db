"""Draw samples from a finished run, as a picture or an array."""

import sys
from pathlib import Path

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import Option, of_sampler
from genarena.options.values import Count, Device, Folder, Seed, Whole

USAGE = """python scripts/sample.py run=<run folder> [num_samples=64] [out=samples.png | samples.npz] [label=<number>] [seed=0]
    [device=cpu]
    [sampler=<name>] [sampler.<option>=<value>]     another sampler than the run's, e.g. sampler=ddim sampler.nfe=10"""
OPTIONS = {
    "run": Option(Folder, ...),
    "num_samples": Option(Count, 64),
    "out": Option(Folder, "samples.png"),
    "label": Option(Whole | None, None),  # of a conditional model; default: all labels in turn
    "seed": Option(Seed, 0),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    sampler, others = of_sampler(sys.argv[1:])
    options = cli.options(OPTIONS, USAGE, others)
    out = Path(options["out"])
    if out.suffix not in (".png", ".npz"):
        raise UserError(f"out={out}: expected a name that ends in .png or .npz")

    from genarena import api  # heavy imports wait until the options are right
    from genarena.evaluation.pictures import save_samples
    from genarena.files.atomic import replace_atomically

    model = api.load(options["run"], options["device"], sampler)
    y = None if options["label"] is None else labels(model, options["label"], options["num_samples"])
    samples = api.sample(model, options["num_samples"], y, seed=options["seed"], progress=True)
    if out.suffix == ".png":
        replace_atomically(out, lambda temporary: save_samples(samples, model.spec, temporary))
    else:
        replace_atomically(out, lambda temporary: _save_npz(temporary, samples))
    broken = int((~samples.isfinite()).flatten(1).any(dim=1).sum())
    print(f"{options['num_samples']} samples: {out}" + (f" ({broken} of them are not finite)" if broken else ""))


def labels(model, label: int, num_samples: int):
    """(num_samples,) the label of each sample. Raises UserError if the model has no labels, or not this one."""
    import torch

    condition = model.spec.condition
    if condition is None or condition.kind != "label" or label >= condition.size:
        known = f"labels 0 to {condition.size - 1}" if condition and condition.kind == "label" else "no labels"
        raise UserError(f"label={label}: the model has {known}")
    return torch.full((num_samples,), label)


def _save_npz(path: Path, samples) -> None:
    import numpy as np

    with open(path, "wb") as file:  # savez appends .npz to a name
        np.savez_compressed(file, samples=samples.numpy())


if __name__ == "__main__":
    cli.guard(main)
