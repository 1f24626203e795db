"""Draw samples from a finished run, as a picture or an array."""

from pathlib import Path

from genarena import cli
from genarena.errors import UserError

BATCH = 500
USAGE = (
    "python scripts/sample.py run=<run folder> [num_samples=64] [out=samples.png | samples.npz] [seed=0] [device=cpu]"
)


def main() -> None:
    defaults = {"run": ..., "num_samples": 64, "out": "samples.png", "seed": 0, "device": "cpu"}
    options = cli.options(defaults, USAGE)
    out = Path(options["out"])
    if out.suffix not in (".png", ".npz"):
        raise UserError(f"out={out}: expected a name that ends in .png or .npz")
    if options["num_samples"] < 1:
        raise UserError(f"num_samples={options['num_samples']}: expected at least 1")

    import numpy as np  # heavy imports wait until the options are right
    import torch

    from genarena.evaluation.pictures import save_samples
    from genarena.files.atomic import replace_atomically
    from genarena.files.progress import Bars
    from genarena.ranks import seeds
    from genarena.runs.folder import RunFolder

    _, model = RunFolder.open(options["run"]).rebuild(options["device"])
    sizes = [min(BATCH, options["num_samples"] - start) for start in range(0, options["num_samples"], BATCH)]

    def draw(block: int) -> torch.Tensor:
        torch.manual_seed(seeds.derived(options["seed"], block))  # as the evaluation draws them
        return model.sample(sizes[block]).cpu()

    with torch.no_grad(), Bars() as bars:
        samples = torch.cat([draw(block) for block in bars.track(range(len(sizes)), "samples")])
    if out.suffix == ".png":
        replace_atomically(out, lambda temporary: save_samples(samples, model.spec, temporary))
    else:
        replace_atomically(out, lambda temporary: _save_npz(np, temporary, samples))
    print(f"{options['num_samples']} samples: {out}")


def _save_npz(np, path: Path, samples) -> None:
    with open(path, "wb") as file:  # savez appends .npz to a name
        np.savez_compressed(file, samples=samples.numpy())


if __name__ == "__main__":
    cli.guard(main)
