"""What a vocoder is asked for: clips, or mel spectrograms, of one's own."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genarena.data.sound.clips import MAX_BYTES, SUFFIXES, read_clip
from genarena.data.sound.recordings import clip_mel, levels_of
from genarena.errors import DataError, UserError, counted, printable
from genarena.files.atomic import check_writable
from genarena.files.boundary import reading
from genarena.files.regular import read_regular
from genarena.files.walk import walk
from genarena.options.values import absolute
from genarena.spec import DataSpec
from genarena.statistics import mel

KINDS = {"audio": SUFFIXES, "mel": (".npy",)}
OF_A_RUN = "the run {}: resample the file, or train on its rate"


@dataclass(frozen=True)
class Sound:
    """mel (80, frames) float32. levels (1, 256 (frames - 1)) int32; None where only the mel is known."""

    mel: Tensor
    levels: Tensor | None


@dataclass(frozen=True)
class Source:
    """A file of a clip or a mel. option: `audio` or `mel`. name: of what is made of it, a path without suffix."""

    option: str
    path: Path
    name: str

    def read(self, spec: DataSpec) -> Sound:
        """What is asked for, of a model of data with this spec. Samples behind the last whole step of 256 are left out.

        Raises DataError, in one line with the file, for what `clips.read_clip` refuses, fewer samples or frames than a segment
        of the model's data, and an array that is no mel spectrogram of this kind.
        """
        return _clip(self.path, spec) if self.option == "audio" else _mel(self.path, spec)


def sources(option: str, text: str) -> list[Source]:
    """The files of `audio=<text>` or `mel=<text>`: a file, files with commas between them, also in brackets, or all that lie
    below a folder. Raises UserError where there is none, and for two whose sounds would have the same name."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    parts = [text] if Path(absolute(text)).exists() else [part.strip() for part in inner.split(",") if part.strip()]
    found = [source for part in parts for source in _below(option, Path(absolute(part)))]
    if not found:
        raise UserError(f"{option}={text}: expected a file or a folder")
    names: dict[str, Path] = {}
    for source in found:
        if other := names.get(source.name):
            raise UserError(f"{option}={text}: the sounds of {other} and {source.path} would have the same name")
        names[source.name] = source.path
    return found


def _below(option: str, path: Path) -> list[Source]:
    kinds = ", ".join(KINDS[option])
    if path.is_dir():
        names = [Path(name) for name in walk(path).files if Path(name).suffix.lower() in KINDS[option]]
        if not names:
            raise UserError(f"{option}={path}: no file in that folder ({kinds})")
        return [Source(option, path / name, str(name.with_suffix(""))) for name in names]
    if not path.exists():
        raise UserError(f"{option}={path}: there is no such file")
    if path.suffix.lower() not in KINDS[option]:
        raise UserError(f"{option}={path}: expected a file of {kinds}")
    return [Source(option, path, path.stem)]


def _clip(path: Path, spec: DataSpec) -> Sound:
    samples, segment = torch.from_numpy(read_clip(path, spec.sample_rate, OF_A_RUN)), spec.shape[1]
    if len(samples) < segment:
        raise DataError(f"{path} has {counted(len(samples), 'sample')}, fewer than a segment of the run, {segment:,}")
    levels = levels_of(samples[: len(samples) // mel.HOP * mel.HOP])
    return Sound(clip_mel(samples, spec.sample_rate).T, levels[None])


def _mel(path: Path, spec: DataSpec) -> Sound:
    with reading(path, "an array"):
        array = np.load(io.BytesIO(read_regular(path, MAX_BYTES)), allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        kind = array.dtype if isinstance(array, np.ndarray) else "an archive"
        raise DataError(f"{path} has {kind}: expected one array of floats")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        found = torch.from_numpy(array.astype(np.float32))
    try:
        mel.refuse_foreign(found)
    except ValueError as error:
        raise DataError(f"{path} has {error}") from error
    if found.shape[1] < (least := mel.num_frames(spec.shape[1])):
        raise DataError(f"{path} has {counted(found.shape[1], 'frame')}, fewer than a segment of the run, {least}")
    return Sound(found, None)


def check_places(places: Iterable[Path], found: Iterable[Source]) -> None:
    """Raise UserError if a file cannot be written, one would be written twice, or over one that is read."""
    read, seen = {source.path.resolve(): source for source in found}, set()
    for place in places:
        check_writable(place)
        if source := read.get(place.resolve()):
            raise UserError(
                f"{printable(place)} would be written over {source.option}={source.path}, which stays as it is"
            )
        if place in seen:
            raise UserError(f"{printable(place)} would be written twice: give its {', '.join(KINDS)} another name")
        seen.add(place)
