"""Restore a picture of your own with the model of a finished run."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from genarena import cli
from genarena.errors import UserError
from genarena.files.atomic import check_writable
from genarena.options.script import ALGORITHM, Option, read
from genarena.options.values import Count, Device, Folder, Seed, Share, Something, Whole
from genarena.tasks.choosing import chosen

USAGE = """python scripts/restore.py run=<run folder> picture=<file> out=<file>.png
    mask=<file> | degradation=<name>    what happened to the picture
    [sigma=<0 to 1>] [num_draws=1] [result=draw|mean] [background=refuse|white|grey|black]
    [label=<number>] | [text="a red circle"]    what it shows, for a model of labels or of captions
    [algorithm=<name> [algorithm.<option>=<value>]] [seed=0] [data_root=<folder>] [device=cpu]

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
algorithm    a file of conf/algorithm; default: the first that fits the model, and takes what happened to the picture.
             task.py task=restore --help lists them. A strength that is null is chosen on validation images of the run's data,
             degraded in the same way; data_root= says where they are, if not where they were.
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
    "text": Option(str | None),
    "background": Option(Literal["refuse", "white", "grey", "black"], "refuse"),
    "algorithm": Option(str | None),  # read by `choosing`, with its options
    "seed": Option(Seed, 0),
    "data_root": Option(Folder | None),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    of_algorithm = [text for text in sys.argv[1:] if text.partition("=")[0].partition(".")[0] == "algorithm"]
    options = cli.options(OPTIONS, USAGE, [text for text in sys.argv[1:] if text not in of_algorithm], beside=ALGORITHM)
    given = read(of_algorithm, {text.partition("=")[0]: Option(Something) for text in of_algorithm})
    node = chosen("restore", {"seed": options["seed"], **given})
    if options["label"] is not None and options["text"] is not None:
        raise UserError(f"label={options['label']} and text={options['text']!r}: a model is asked for one of them")
    out = Path(options["out"])
    check_places(out, options)

    from genarena.build import build  # heavy imports wait until the options are right
    from genarena.evaluation.rescoring import load_data
    from genarena.runs import stored_config
    from genarena.tasks import task_run
    from genarena.tasks.restoring import own_restoration
    from genarena.tasks.restoring.own_picture import SAME, observation

    task, folder = task_run.built(node), task_run.finished(options["run"])[0]
    cfg, asked = stored_config.load(folder.config), options["label"] if options["text"] is None else options["text"]
    shown = [options[name] for name in ("picture", "mask", "degradation", "sigma", "background")]
    seen = observation(build(cfg["data"], "data"), *shown)  # the data is not read: it knows shape and recipe
    with folder.bounded():
        algorithm = own_restoration.algorithm_for(task, build(cfg["model"], "model"), seen, asked)
    chooses = bool(algorithm.strength) and getattr(algorithm, algorithm.strength) is None
    data = load_data(folder.path, options["data_root"]) if chooses else None
    model = folder.rebuild(options["device"])[1]
    if data:
        algorithm = own_restoration.strong(algorithm, model, data, seen, task.seed)
    keep = options["sigma"] is None
    made = own_restoration.restored(model, algorithm, seen, options["num_draws"], task.seed, asked, keep)
    if seen.fitted != SAME:
        print(f"the picture was {seen.fitted}")
    for path, about in write(made.draws, options["result"], out):
        print(f"{about}: {path}")
    print(told(seen, made))


def told(seen, made) -> str:
    """What was solved, by which algorithm, how exactly, and how long it took."""
    algorithm, num = made.algorithm, len(made.draws)
    holes = "" if seen.kept is None else f", {(~seen.kept[0, 0]).sum()} of {seen.kept[0, 0].numel()} pixels missing"
    strength = f", {algorithm.strength} {getattr(algorithm, algorithm.strength):g}" if algorithm.strength else ""
    what = "estimate" if algorithm.is_point else "draw" if num == 1 else "draws"
    by = f"{algorithm.name} ({algorithm.exactness}{strength})"
    return f"{seen.degraded.name}, sigma {seen.degraded.sigma:g}{holes}: {by}, {num} {what} in {made.seconds:.1f} s"


def check_places(out: Path, options: Mapping[str, Any]) -> None:
    """Raise UserError if `out` is no name of a PNG file, a file cannot be written, or one that is read is among them."""
    if out.suffix != ".png":
        raise UserError(f"out={out}: expected a name that ends in .png")
    paths = names(out, options["num_draws"])
    for path in paths:
        check_writable(path)
    written = {path.resolve() for path in paths}
    for option in ("picture", "mask"):
        if options[option] and Path(options[option]).resolve() in written:
            raise UserError(f"out={out}: would be written over {option}={options[option]}, which stays as it is")


def names(out: Path, num_draws: int) -> list[Path]:
    """Of the files: `out`; and with several draws each of them, and their standard deviation."""
    others = [*(f"draw{k + 1}" for k in range(num_draws)), "std"] if num_draws > 1 else []
    return [out, *(out.with_name(f"{out.stem}-{name}.png") for name in others)]


def write(draws, result: str, out: Path) -> list[tuple[Path, str]]:
    """Paths, and what each has. All pictures are made before the first is written."""
    from genarena.evaluation.pictures import save_picture
    from genarena.files.atomic import replace_atomically

    images, about = [draws.mean(0) if result == "mean" else draws[0]], ["restored"]
    if len(draws) > 1:
        std = draws.std(0)
        images += [*draws, std / std.max().clamp_min(1e-12)]
        about += [f"draw {k + 1}" for k in range(len(draws))]
        about.append(f"standard deviation, white is {std.max().item():.2g}")
    paths = names(out, len(draws))
    for path, image in zip(paths, images, strict=True):
        replace_atomically(path, lambda temporary, image=image: save_picture(image, temporary))
    return list(zip(paths, about, strict=True))


if __name__ == "__main__":
    cli.guard(main)
