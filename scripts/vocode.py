"""The sound of clips, or of mel spectrograms, by the model of a finished run: copy synthesis."""

import sys
from pathlib import Path
from typing import Any

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import SAMPLER, Option, of_sampler
from genarena.options.values import Device, Folder, NonNegative, Seed

USAGE = """python scripts/vocode.py run=<run folder> audio=<wav or flac> | mel=<npy> out=<file>.wav
    [sigma=<s>] [denoise=<share>] [seed=0] [device=cpu]
    [sampler=<name>] [sampler.<option>=<value>]     of a diffusion model, e.g. sampler=given_betas
python scripts/vocode.py run=<run folder> audio=<folder> | audio=<file>,<file> ... out=<folder>
python scripts/vocode.py run=<run folder> audio=... out=... sigma=[0,0.3,0.6,0.8,1]

Copy synthesis: the mel spectrogram of a clip, and the sound that the model makes of it, of any length. It is made in chunks
that give what the whole gives. Beside <file>.wav stands <file>.png: the mel that was asked for above that of the sound, in the
same colours. Printed are how near they are, of clips of a second at least also PESQ, STOI and DNSMOS where their packages are
installed, seconds of computing for a second of sound, and kHz, samples of a second / 1,000.

audio    WAV or FLAC, mono, of the sample rate of the run's data, not silent, clipped, or shorter than a segment of it. Up to
         255 samples at the end, after the last step of the mel, are left out.
mel      an array of floats (80, frames): natural logarithms, as genarena.statistics.mel.log_mel makes them (those of WaveGlow
         and Tacotron 2), of sound at the sample rate of the run. Other front-ends are refused where shape or range tells them.
out      <file>.wav for one file; a folder for many, where each has the name of what it is made of.
sigma    standard deviation of the noise: 1 is the model, 0 has no chance in it. Default: 0.6 of flows
         that do not whiten, 1 of others. A list of several makes <file>-sigma0.3.wav and so on, and their curve,
         <file>-sigma.png and .csv (of a folder, sigma.png).
denoise  of flows: share of the spectrum of their hum that is taken away, e.g. 0.1. Default: 0."""
OPTIONS = {
    "run": Option(Folder, ...),
    "audio": Option(str | None),
    "mel": Option(str | None),
    "out": Option(Folder, ...),
    "sigma": Option(NonNegative | list[NonNegative] | None),
    "denoise": Option(NonNegative, 0.0),
    "seed": Option(Seed, 0),
    "device": Option(Device, "cpu"),
}


def main() -> None:
    sampler, others = of_sampler(sys.argv[1:])
    to_folder = not any(text.startswith("out=") and text.endswith(".wav") for text in others)
    options = cli.options(OPTIONS, USAGE, others, out_is_folder=to_folder, beside=SAMPLER)
    if (options["audio"] is None) == (options["mel"] is None):
        raise UserError("expected one of audio=<wav or flac> and mel=<npy>")

    from genarena.tasks.vocoding.own_sounds import OwnSounds, Request  # heavy imports wait until the options are right

    option, sigmas = "audio" if options["mel"] is None else "mel", sigmas_of(options)
    of_model = {name: options[name] for name in ("denoise", "seed", "device")} | {"sampler": sampler}
    request = Request(options["run"], option, options[option], Path(options["out"]), sigmas, **of_model)
    for line in OwnSounds.checked(request).lines():
        print(line, flush=True)


def sigmas_of(options: dict[str, Any]) -> tuple[float, ...] | None:
    """The values of sigma; None: that of the model. Raises UserError for an empty list, and a value that is there twice."""
    given = options["sigma"]
    if given is None:
        return None
    sigmas = given if isinstance(given, list) else [given]
    if not sigmas or len(set(sigmas)) < len(sigmas):
        raise UserError(f"sigma={sigmas}: expected different numbers, at least one")
    return tuple(map(float, sigmas))


if __name__ == "__main__":
    cli.guard(main)
