"""Restore a picture of your own with the model of a finished run."""

import sys
from pathlib import Path
from typing import Literal

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import Option
from genarena.options.values import Count, Device, Folder, Seed, Share, Whole

USAGE = """python scripts/restore.py run=<run folder> picture=<file> out=<file>.png
    mask=<file> | degradation=<name>    what happened to the picture
    [sigma=<0 to 1>] [num_draws=1] [result=draw|mean] [label=<number>] [background=refuse|white|grey|black]
    [seed=0] [device=cpu]

The picture is the observation: nothing is added to it. It is read as pictures of the data set are, turned by its EXIF
orientation; a size other than the model's is cut and resized, and a line says so. A transparent picture is refused, unless
background= says what is behind it.

mask         a picture of the same size: white is missing, black is known. Known pixels are kept, unless sigma= says that they
             are noisy.
degradation  denoise (with sigma=), sr2, sr4 (the picture is the small one), blur_gaussian, blur_motion, colorize (the picture
             is grey), inpaint_center, inpaint_half.
sigma        standard deviation of the noise, in units of [0, 1]; default: that of the degradation, 0.05.
num_draws    possible originals. With more than one, all of them are written, <out>-draw1.png and so on, and their standard
             deviation, <out>-std.png.
result       what <out> has: a draw, sharp and possible; or the mean of the draws, with the smallest error, and blurred."""
OPTIONS = {
    "run": Option(Folder, ...),
    "picture": Option(Folder, ...),
    "out": Option(Folder, ...),
    "mask": Option(Folder | None),
    "degradation": Option(str | None),
    "sigma": Option(Share | None),
    "num_draws": Option(Count, 1),
    "result": Option(Literal["draw", "mean"], "draw"),
    "label": Option(Whole | None),
    "background": Option(Literal["refuse", "white", "grey", "black"], "refuse"),
    "seed": Option(Seed, 0),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    options = cli.options(OPTIONS, USAGE, sys.argv[1:])
    out = Path(options["out"])
    if out.suffix != ".png":
        raise UserError(f"out={out}: expected a name that ends in .png")

    from genarena.build import build  # heavy imports wait until the options are right
    from genarena.runs import stored_config
    from genarena.runs.folder import RunFolder
    from genarena.tasks.restoring.own_picture import SAME, observation
    from genarena.tasks.restoring.own_restoration import restored

    folder = RunFolder.open(options["run"])
    data = build(stored_config.load(folder.config)["data"], "data")  # not read: it knows shape and recipe
    given = [options[name] for name in ("picture", "mask", "degradation", "sigma", "background")]
    seen = observation(data, *given)
    model = folder.rebuild(options["device"])[1]
    made = restored(model, seen, options["num_draws"], options["seed"], options["label"], options["sigma"] is None)
    if seen.fitted != SAME:
        print(f"the picture was {seen.fitted}")
    for path, about in write(made.draws, options["result"], out):
        print(f"{about}: {path}")
    kind = f"{made.algorithm.name} ({made.algorithm.exactness})"
    print(
        f"{seen.degraded.name}, sigma {seen.degraded.sigma:g}: {kind}, {len(made.draws)} of them in {made.seconds:.1f} s"
    )


def write(draws, result: str, out: Path) -> list[tuple[Path, str]]:
    """Paths, and what each has. All pictures are made before the first is written."""
    from genarena.evaluation.pictures import save_picture
    from genarena.files.atomic import replace_atomically

    single = len(draws) == 1
    pictures = {out: (draws.mean(0) if result == "mean" else draws[0], "restored")}
    if not single:
        names = {f"draw{k + 1}": (each, f"draw {k + 1}") for k, each in enumerate(draws)}
        std = draws.std(0)
        names["std"] = std / std.max().clamp_min(1e-12), f"standard deviation, white is {std.max().item():.2g}"
        pictures |= {out.with_name(f"{out.stem}-{name}.png"): each for name, each in names.items()}
    for path, (image, _) in pictures.items():
        replace_atomically(path, lambda temporary, image=image: save_picture(image, temporary))
    return [(path, about) for path, (_, about) in pictures.items()]


if __name__ == "__main__":
    cli.guard(main)
