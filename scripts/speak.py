"""Speak a text with two finished runs: a model of mel spectrograms from text, and a vocoder."""

import time
from pathlib import Path

from genarena import cli
from genarena.errors import UserError
from genarena.files.atomic import check_writable
from genarena.options.script import Option
from genarena.options.values import Device, Folder, NonNegative, Seed

USAGE = """python scripts/speak.py run=<vocoder run> text="..." out=<file>.wav [mel_run=<run of mel_from_text>]
    [speed=1.0] [sigma=0.6] [temperature=0.0] [seed=0] [device=cpu]

run          makes sound of a mel: a run with data.condition=mel of waveglow, hifigan, diffwave, ..., or of griffin_lim, which
             learns nothing and is there at once.
mel_run      makes the mel of the text; default: the newest finished run of mel_from_text among the runs beside `run`.
text         characters of its training texts; numbers are written out as words.
speed        2.0 is twice as fast.
sigma        of the noise of the vocoder, as in vocode.py.
temperature  of the mel and its durations: 0 the most likely one, 1 a draw of the model.

Beside the file stands a picture, <file>.png: the mel of the text with each character under its frames, and that of the
sound."""
OPTIONS = {
    "run": Option(Folder, ...),
    "text": Option(str, ...),
    "out": Option(Folder, ...),
    "mel_run": Option(Folder | None),
    "speed": Option(float, 1.0),
    "sigma": Option(NonNegative | None),
    "temperature": Option(NonNegative, 0.0),
    "seed": Option(Seed, 0),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    options = cli.options(OPTIONS, USAGE)
    out, text, speed = Path(options["out"]), options["text"], float(options["speed"])
    if out.suffix != ".wav":
        raise UserError(f"out={out}: expected a name that ends in .wav")
    for place in (out, out.with_suffix(".png")):
        check_writable(place)
    if not any(map(str.isalnum, text)):
        raise UserError(f"text={text!r}: there is nothing to say in it")
    if not 0.1 <= speed <= 10.0:
        raise UserError(f"speed={speed:g}: expected 0.1 to 10")

    from genarena.tasks.speaking import speech  # heavy imports wait until the options are right
    from genarena.tasks.speaking.two_runs import two_runs

    runs = two_runs(options["run"], options["mel_run"], options["sigma"])
    said = runs.characters.decode(runs.characters.encode(text))
    seed, device, began = options["seed"], options["device"], time.perf_counter()
    speaker, vocoder = (folder.rebuild(device)[1] for folder in (runs.speaker, runs.vocoder))
    durations, frames = speech.mel_of(speaker, runs.characters, text, speed, options["temperature"], seed)
    levels = speech.sound_of(vocoder, frames, options["sigma"], seed)
    made = speech.Speech(said, durations, frames, levels, runs.sample_rate)
    picture = speech.write(made, out)
    print(f"mel: {runs.speaker.path}")
    print(f"{made.seconds:.1f} s of sound in {time.perf_counter() - began:.1f} s: {out}, {picture}")


if __name__ == "__main__":
    cli.guard(main)
