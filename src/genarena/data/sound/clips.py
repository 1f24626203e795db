"""Reads WAV and FLAC files, with checks: one channel, the sample rate of the set, and something to hear."""

import io
from collections import Counter
from pathlib import Path

import numpy as np

from genarena.data.reading.folders import say
from genarena.errors import DataError
from genarena.files.boundary import first_line
from genarena.files.regular import read_regular
from genarena.files.walk import walk

SUFFIXES = (".wav", ".flac")
MAX_BYTES = 2**31  # of one file
FULL = 32_767  # the loudest integer
QUIET = 33  # a clip that is nowhere louder is silent: 60 dB below full scale
MOST_CLIPPED = 0.001  # share of the samples that may be at full scale
OF_A_SET = "this set {} (data.sample_rate); resample one, or name the other"


def clip_names(folder: Path, beside: tuple[str, ...] = ()) -> list[str]:
    """Paths of all sound files below a folder, relative to it, sorted. Other files are reported on stderr, unless their names
    end like those of `beside`. Raises DataError for a folder that cannot be read."""
    names = walk(folder).files
    found = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
    others = Counter(
        Path(name).suffix.lower() or "no suffix" for name in set(names).difference(found) if not name.endswith(beside)
    )
    if others:
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(others.items()))
        say(f"{folder} holds files that are not taken for sound: {kinds}")
    return found


def read_clip(path: Path, sample_rate: int, rule: str = OF_A_SET) -> np.ndarray:
    """The samples (T,) of a file, int16. Floats are rounded to the nearest, and 24 bits cut off to 16.

    rule: said of a file with another sample rate; `{}` is the rate that was expected.
    Raises DataError, in one line, for a file that cannot be read, another sample rate, more than one channel, numbers that are
    not finite or above 1, silence, and clipping (more than one in a thousand samples at full scale).
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(read_regular(path, MAX_BYTES))) as file:
            if file.samplerate != sample_rate:
                expected = rule.format(f"{sample_rate:,}")
                raise DataError(f"{path} has {file.samplerate:,} samples a second, and {expected}")
            if file.channels != 1:
                raise DataError(f"{path} has {file.channels} channels: expected one (mono)")
            floats = file.subtype in ("FLOAT", "DOUBLE")
            samples = file.read(dtype="float64" if floats else "int16")
    except soundfile.LibsndfileError as error:  # its text names the object in memory
        raise DataError(f"{path} cannot be read as sound: {error.error_string}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as sound: {first_line(error)}") from error
    samples = _rounded(samples, path) if floats else samples
    _refuse_inaudible(samples, path)
    return samples


def _rounded(samples: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(samples).all():
        raise DataError(
            f"{path} has numbers that are not finite, the first at sample {int((~np.isfinite(samples)).argmax())}"
        )
    if (loudest := float(np.abs(samples).max(initial=0.0))) > 1.0:
        raise DataError(f"{path} has samples up to {loudest:.3g}: expected floats from -1 to 1")
    return np.clip(np.round(samples * (FULL + 1)), -FULL - 1, FULL).astype(np.int16)


def _refuse_inaudible(samples: np.ndarray, path: Path) -> None:
    levels = np.abs(samples.astype(np.int32))
    if (peak := int(levels.max(initial=0))) < QUIET:
        raise DataError(f"{path} is silent: its loudest sample is {peak} of {FULL:,}")
    if (clipped := float((levels >= FULL).mean())) > MOST_CLIPPED:
        raise DataError(
            f"{path} is clipped: {clipped:.1%} of its samples are at full scale, at most {MOST_CLIPPED:.1%} may be"
        )
