"""Sound of runs as data URIs of WAV files: a few seconds of each, small enough for a page with hundreds of runs."""

import base64
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genarena.errors import ArenaError, DataError
from genarena.files import foreign, wave_file

FILE_BYTES = 50_000_000
PAGE_BYTES = 8_000_000  # the sound of all runs together, encoded in base64
SECONDS = 4.0  # of one run
SAMPLES = 4  # the first ones, one after the other
RATES = range(8_000, 192_001)  # samples of a second that browsers play


@dataclass(frozen=True)
class Player:
    """num: of samples, one after the other. is_cut: not all of them are heard."""

    uri: str
    seconds: float
    num: int
    is_cut: bool


def files(folder: Path, name: str) -> list[Path]:
    """The WAV files `samples/<name>-<number>.wav` of a run; of a sample that is not finite there is none."""
    paths = [folder / "samples" / f"{name}-{number}.wav" for number in range(SAMPLES)]
    return [path for path in paths if path.exists()]


class Players:
    """Encodes sound as WAV of 16 bits, each with an equal share of `page_bytes`. What does not fit, or is behind 4 seconds, is
    cut off: it is not made worse."""

    def __init__(self, num_players: int, page_bytes: int = PAGE_BYTES) -> None:
        self.limit = (
            3 * page_bytes // 4 // max(1, num_players) - wave_file.HEADER
        )  # base64 encodes 3 bytes as 4 characters

    def player(self, paths: Sequence[Path]) -> Player:
        """The sound of these files, one after the other. Raises DataError or Untrusted for one that is no WAV file of a run:
        one channel, 16 bits, the same sample rate as the others."""
        found = [_decoded(path) for path in paths]
        rates = sorted({rate for rate, _ in found})
        if len(rates) > 1:
            raise DataError(f"{paths[0]} and those beside it have different sample rates: {rates}")
        samples, (rate,) = b"".join(content for _, content in found), rates
        kept = samples[: min(len(samples), self.limit, 2 * int(SECONDS * rate)) // 2 * 2]
        uri = f"data:audio/wav;base64,{base64.b64encode(wave_file.encoded(kept, rate)).decode()}"
        return Player(uri, len(kept) / 2 / rate, len(paths), len(kept) < len(samples))


def _decoded(path: Path) -> tuple[int, bytes]:
    """Samples of a second, and the samples."""
    try:
        with foreign.opened(path, FILE_BYTES) as file, wave.open(file, "rb") as sound:
            form = sound.getnchannels(), sound.getsampwidth()
            if form != (1, 2) or sound.getframerate() not in RATES:
                raise DataError(
                    f"{path} has {form[0]} channels of {8 * form[1]} bits, {sound.getframerate():,} samples a second: "
                    "no sound that a run writes"
                )
            return sound.getframerate(), sound.readframes(sound.getnframes())
    except ArenaError:
        raise
    except Exception as error:  # wave raises many kinds of exceptions for damaged files
        raise DataError(f"{path} cannot be read as sound: {error}") from error
