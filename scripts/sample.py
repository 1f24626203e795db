"""Draw samples from a finished run, as a picture or an array."""

import sys
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import SAMPLER, Option, of_sampler
from genarena.options.values import Count, Device, Folder, NonNegative, Seed, Whole

USAGE = """python scripts/sample.py run=<run folder> [num_samples=<n>] [out=samples.png | .npz | .wav] [seed=0] [device=cpu]
    [label=<number>]                                of a model of labels; default: a row for each
    [text="a red circle; two green rings"]          of a model of captions: a row for each text
    [attributes="Smiling,Male; Bald"]               of a model of attributes: a row for each list; others are absent
    [data_root=<folder>]                            of a model of mels, which draws those of the first test segments: where
                                                    the data is, if not where it was
    [guidance=<s>]                                  0: without the condition, 1: with it, more: away from samples without
    [sampler=<name>] [sampler.<option>=<value>]     another sampler than the run's, e.g. sampler=ddim sampler.nfe=10

num_samples is 64 by default, and 4 of sound. Of sound, samples.png has spectrograms, and samples-0.wav and so on are written
beside it; scripts/vocode.py makes the sound of clips and mels of your own, of any length."""
IMAGES, SOUNDS = 64, 4  # samples that are drawn where nobody says how many
OPTIONS = {
    "run": Option(Folder, ...),
    "num_samples": Option(Count | None, None),
    "out": Option(Folder, "samples.png"),
    "label": Option(Whole | None, None),
    "text": Option(str | None, None),
    "attributes": Option(str | None, None),
    "data_root": Option(Folder | None),
    "guidance": Option(NonNegative | None, None),
    "seed": Option(Seed, 0),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    sampler, others = of_sampler(sys.argv[1:])
    options = cli.options(OPTIONS, USAGE, others, beside=SAMPLER)
    if options["guidance"] is not None and "sampler.guidance" in sampler:
        raise UserError(
            f"guidance={options['guidance']:g} and sampler.guidance={sampler['sampler.guidance']}: give one of them"
        )
    out = Path(options["out"])
    if out.suffix not in (".png", ".npz", ".wav"):
        raise UserError(f"out={out}: expected a name that ends in .png, .npz or .wav")

    from genarena import api  # heavy imports wait until the options are right

    model = api.load(options["run"], options["device"], sampler)
    options["num_samples"] = options["num_samples"] or (SOUNDS if model.spec.is_sound else IMAGES)
    if out.suffix == ".wav" and not model.spec.is_playable:
        raise UserError(f"out={out}: the model draws no sound")
    asked = _asked(model, options)
    if options["guidance"] is not None:
        guide(model, options["guidance"])
    num = options["num_samples"] if asked.y is None else len(asked.y)
    samples = api.sample(model, num, asked.y, seed=options["seed"], progress=True)
    write(samples, model.spec, asked, out)
    broken = int((~samples.isfinite()).flatten(1).any(dim=1).sum())
    print(f"{num} samples: {out}" + (f" ({broken} of them are not finite)" if broken else ""))


def write(samples, spec, asked, out: Path) -> None:
    """The file `out`; of sound with a picture also WAV files beside it."""
    from genarena.evaluation.pictures import save_samples
    from genarena.evaluation.sounds import SHOWN, save_spectrograms
    from genarena.files.atomic import replace_atomically

    if out.suffix == ".npz":
        replace_atomically(out, lambda temporary: _save_npz(temporary, samples))
        return
    if out.suffix == ".png":
        draw = partial(save_samples, samples, spec, columns=asked.columns, titles=asked.titles)
        if spec.is_playable:
            mels = asked.y if spec.condition and spec.condition.kind == "mel" else None
            draw = partial(save_spectrograms, samples, spec, given=mels)
        replace_atomically(out, lambda temporary: draw(path=temporary))
    if spec.is_playable:
        _save_wavs(out.with_suffix(".wav"), samples if out.suffix == ".wav" else samples[:SHOWN], spec)


def _asked(model, options: dict[str, Any]):
    """What is drawn: one label, texts, or of a picture a row per class. Raises UserError for what the model does not know."""
    from genarena.evaluation.asked_pictures import AskedPictures, rows_of_classes

    condition, num = model.spec.condition, options["num_samples"]
    kind = condition.kind if condition else None
    given = [f"{name}={options[name]!r}" for name in ("label", "text", "attributes") if options[name] is not None]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)}: a model is asked for one of them")
    if kind == "characters":
        raise UserError("the model makes mel spectrograms of texts: scripts/speak.py lets it speak")
    if options["label"] is not None:
        return AskedPictures(labels(model, options["label"], num))
    if options["text"] is not None:
        return texts(model, options["text"], num)
    if options["attributes"] is not None:
        return attributes(model, options["run"], options["attributes"], num)
    if kind == "mel":
        return AskedPictures(test_mels(options["run"], options["data_root"], num))
    if options["data_root"] is not None:
        raise UserError(f"data_root={options['data_root']}: data is read only for a model of mels")
    if kind == "caption":
        raise UserError("text=... is missing: the model draws what a caption says, e.g. text='a red circle'")
    drawn = kind == "label" and model.spec.is_image and Path(options["out"]).suffix == ".png" and num >= condition.size
    return rows_of_classes(condition, num) if drawn else AskedPictures()


def test_mels(run: str, root: str | None, num_samples: int):
    """(num_samples, 80, frames) of the first test segments of the run's data. Raises UserError if there are fewer."""
    from genarena.api import load_data

    data = load_data(run, root)
    if num_samples > data.test.size:
        raise UserError(f"num_samples={num_samples}: the test split of {data.name} has {data.test.size:,} segments")
    return data.test[:num_samples].batch(data.spec.condition).y


def labels(model, label: int, num_samples: int):
    """(num_samples,) the label of each sample. Raises UserError if the model has no labels, or not this one."""
    import torch

    condition = model.spec.condition
    if condition is None or condition.kind != "label" or label >= condition.size:
        known = f"labels 0 to {condition.size - 1}" if condition and condition.kind == "label" else "no labels"
        raise UserError(f"label={label}: the model has {known}")
    return torch.full((num_samples,), label)


def texts(model, text: str, num_samples: int):
    """The captions of the samples; texts are separated by semicolons. Raises UserError if the model has no captions, or a text
    has words that it does not know."""
    import torch

    from genarena.data.captions.vocabulary import Vocabulary
    from genarena.evaluation.asked_pictures import rows_of_captions

    condition = model.spec.condition
    if condition is None or condition.kind != "caption":
        raise UserError(f"text={text!r}: the model was trained without captions (data.condition=caption)")
    titles = [part.strip() for part in text.split(";") if part.strip()] or [text]
    vocabulary = Vocabulary.of_condition(condition)
    return rows_of_captions(torch.stack([vocabulary.encode(title) for title in titles]), titles, num_samples)


def attributes(model, run: str, text: str, num_samples: int):
    """The attributes of the samples, by the names that the data set of the run has for them; lists are separated by semicolons.
    Raises UserError if the model has no attributes, or there is none of a name."""
    from genarena.evaluation.asked_pictures import rows_of_attributes
    from genarena.runs import stored_config
    from genarena.runs.folder import RunFolder
    from genarena.tasks.editing.attributes import names_of

    condition = model.spec.condition
    if condition is None or condition.kind != "attributes":
        raise UserError(f"attributes={text!r}: the model was trained without attributes (data.condition=attributes)")
    data = stored_config.load(RunFolder.open(run).config)["data"]["_target_"].split(".")[-2]
    return rows_of_attributes(condition, names_of(data, condition.size), text, num_samples)


def guide(model, guidance: float) -> None:
    """Draw with this guidance. Raises UserError if the model has none, or never learned to do without a condition."""
    if not is_dataclass(model.sampler) or "guidance" not in {field.name for field in fields(model.sampler)}:
        raise UserError(f"guidance={guidance:g}: {type(model).__name__} has no guidance")
    try:
        model.use(replace(model.sampler, guidance=guidance))
    except ValueError as error:
        raise UserError(str(error).removeprefix("sampler.")) from error


def _save_wavs(path: Path, samples, spec) -> None:
    """One file, or of several samples `<stem>-<number>.wav` for each that is finite."""
    from genarena.evaluation.sounds import save_wav
    from genarena.files.atomic import replace_atomically

    for number, levels in enumerate(samples):
        if bool(levels.isfinite().all()):
            place = path if len(samples) == 1 else path.with_name(f"{path.stem}-{number}.wav")
            replace_atomically(place, partial(save_wav, levels, spec.sample_rate))


def _save_npz(path: Path, samples) -> None:
    import numpy as np

    with open(path, "wb") as file:  # savez appends .npz to a name
        np.savez_compressed(file, samples=samples.numpy())


if __name__ == "__main__":
    cli.guard(main)
