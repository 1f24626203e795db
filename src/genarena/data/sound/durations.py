"""How long characters last, from a file of one's own: a line `<clip>|<frames of each character>` per clip.

`LJ001-0001|14 3 5 4 ...` has a whole number for each character that the model reads (`captions/characters.py`): small letters
and punctuation, with a space at both ends, which is the silence before and behind the words. They add up to the frames of the
clip, up to the last one above silence.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from genarena.data.reading.text_file import text_of
from genarena.errors import DataError, counted

MAX_BYTES = 2**28
FORM = "<clip>|<frames of each character, with spaces between them>"


class Told(NamedTuple):
    """What a line of the file says. number: of the line."""

    number: int
    frames: list[int]


def read(path: Path) -> dict[str, Told]:
    """Name of a clip -> its line. Raises DataError, in one line, for a file that cannot be read, a line of another form,
    numbers that are not whole and at least 1, and a clip that is there twice."""
    if not path.exists():
        raise DataError(f"data.durations={path}: there is no such file")
    told: dict[str, Told] = {}
    for number, line in enumerate(text_of(path, MAX_BYTES).splitlines(), 1):
        if not line.strip():
            continue
        name, mark, frames = line.partition("|")
        if not mark or not name.strip() or not frames.strip():
            raise DataError(f"{path}, line {number}: expected {FORM}")
        if before := told.get(name.strip()):
            raise DataError(f"{path}, line {number}: the clip {name.strip()} is in line {before.number} too")
        told[name.strip()] = Told(number, [_whole(text, path, number) for text in frames.split()])
    return told


def _whole(text: str, path: Path, number: int) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) and len(text) < 10):
        raise DataError(
            f"{path}, line {number}: {text!r} is no duration: expected a whole number of frames, at least 1"
        )
    return int(text)


class Clips(NamedTuple):
    """What durations have to fit. names: of all clips; letters, frames: how many characters and heard frames each has, (K,);
    width: of the table; training: numbers of the clips that need durations."""

    names: Sequence[str]
    letters: Tensor
    frames: Tensor
    width: int
    training: Tensor


def table(told: dict[str, Told], clips: Clips, path: Path) -> Tensor:
    """(K, width) int64 frames of each character of each clip; 0 behind the last character, and for clips without a line.

    Raises DataError, in one line, for a clip that the data does not have, a number of durations that is not that of its
    characters, a sum that is not that of its frames, and a training clip without a line.
    """
    rows, made = {name: row for row, name in enumerate(clips.names)}, torch.zeros(len(clips.names), clips.width).long()
    for name, (number, frames) in told.items():
        if name not in rows:
            raise DataError(f"{path}, line {number}: the data has no clip {name}")
        letters, wanted = int(clips.letters[rows[name]]), int(clips.frames[rows[name]])
        if len(frames) != letters:
            raise DataError(
                f"{path}, line {number}: {counted(len(frames), 'duration')}, "
                f"and {name} has {letters} characters with the spaces around"
            )
        if sum(frames) != wanted:
            raise DataError(
                f"{path}, line {number}: the durations add up to {counted(sum(frames), 'frame')}, and {name} has {wanted}"
            )
        made[rows[name], :letters] = torch.tensor(frames)
    for row in clips.training.tolist():
        if clips.names[row] not in told:
            raise DataError(f"{path} has no line for the training clip {clips.names[row]}")
    return made
