"""What is said in the clips of LJ Speech: `metadata.csv`, a line `<clip>|<text>|<text with numbers written out>` per clip."""

from pathlib import Path

from genarena.data.captions.characters import spoken
from genarena.data.reading.text_file import text_of
from genarena.errors import DataError, counted

MAX_BYTES = 2**28


def transcripts(path: Path, clips: list[str]) -> list[str]:
    """The texts of clips, with numbers written out. Raises DataError, in one line, for a missing or broken file, and for a clip
    without a text."""
    said = _read(path)
    for clip in clips:
        if clip not in said:
            raise DataError(f"{path} has no text of the clip {clip}")
        if not spoken(said[clip]):
            raise DataError(f"{path}: the text of the clip {clip} has nothing that is said: {said[clip]!r}")
    return [said[clip] for clip in clips]


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise DataError(
            f"{path} is missing: it has the texts of the clips, and comes with them in LJSpeech-1.1.tar.bz2"
        )
    said: dict[str, str] = {}
    for number, line in enumerate(text_of(path, MAX_BYTES).splitlines(), 1):
        parts = line.split("|")  # nothing is quoted in it
        if len(parts) != 3:
            raise DataError(
                f"{path}, line {number}: {counted(len(parts), 'part')}, expected <clip>|<text>|<text with numbers written out>"
            )
        said[parts[0]] = parts[2]
    return said
