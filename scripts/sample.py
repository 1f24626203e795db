"""Draw samples from a finished run, as a picture or an array."""

from pathlib import Path

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import Option
from genarena.options.values import Count, Device, Folder, Seed

USAGE = (
    "python scripts/sample.py run=<run folder> [num_samples=64] [out=samples.png | samples.npz] [seed=0] [device=cpu]"
)
OPTIONS = {
    "run": Option(Folder, ...),
    "num_samples": Option(Count, 64),
    "out": Option(Folder, "samples.png"),
    "seed": Option(Seed, 0),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    options = cli.options(OPTIONS, USAGE)
    out = Path(options["out"])
    if out.suffix not in (".png", ".npz"):
        raise UserError(f"out={out}: expected a name that ends in .png or .npz")

    from genarena import api  # heavy imports wait until the options are right
    from genarena.evaluation.pictures import save_samples
    from genarena.files.atomic import replace_atomically

    model = api.load(options["run"], options["device"])
    samples = api.sample(model, options["num_samples"], seed=options["seed"], progress=True)
    if out.suffix == ".png":
        replace_atomically(out, lambda temporary: save_samples(samples, model.spec, temporary))
    else:
        replace_atomically(out, lambda temporary: _save_npz(temporary, samples))
    broken = int((~samples.isfinite()).flatten(1).any(dim=1).sum())
    print(f"{options['num_samples']} samples: {out}" + (f" ({broken} of them are not finite)" if broken else ""))


def _save_npz(path: Path, samples) -> None:
    import numpy as np

    with open(path, "wb") as file:  # savez appends .npz to a name
        np.savez_compressed(file, samples=samples.numpy())


if __name__ == "__main__":
    cli.guard(main)
