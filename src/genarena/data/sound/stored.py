"""The cache of clips that were read from files: their samples, their mel spectrograms, and their lengths."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genarena.data.reading import mapped
from genarena.data.reading.pictures import Sources
from genarena.data.sound.clips import read_clip
from genarena.data.sound.recordings import Recordings, clip_mel
from genarena.errors import DataError, counted
from genarena.files.atomic import replace_atomically
from genarena.files.cache import alone
from genarena.files.progress import Bars
from genarena.statistics import mel


class StoredClips:
    """Files `<key>.i16`, `<key>.mel` and `<key>.json` below `folder`. The key is a hash of the names, sizes and times of all
    files, of the sample rate and of the kind of mel, so changed files are read again."""

    def __init__(self, folder: Path, sources: Sources, sample_rate: int) -> None:
        self.sources, self.sample_rate = sources, sample_rate
        hasher = hashlib.sha256(repr((mel.NAME, sample_rate)).encode())
        for stamp in sources.stamps():
            hasher.update(repr(stamp).encode())
        key = hasher.hexdigest()[:32]
        self.samples, self.mels, self.facts = (folder / f"{key}.{suffix}" for suffix in ("i16", "mel", "json"))

    def recordings(self) -> Recordings:
        """All clips, in the order of their files, mapped into memory. Raises DataError for a file that is refused, and for a
        damaged cache."""
        with alone(self.facts.with_suffix(".lock")):
            if not all(path.is_file() for path in (self.samples, self.mels, self.facts)):
                self._make()
        facts = json.loads(self.facts.read_text())
        lengths = torch.tensor(facts["lengths"], dtype=torch.int64)
        frames = int((lengths // mel.HOP + 1).sum())
        samples = mapped.read(self.samples, (2 * int(lengths.sum()),), facts["sha256"]).view(torch.int16)
        mels = mapped.read(self.mels, (4 * frames * mel.BANDS,), facts["mels"]).view(torch.float32)
        return Recordings(samples, mels.view(frames, mel.BANDS), lengths)

    def _make(self) -> None:
        lengths: list[int] = []
        with Bars() as bars:
            digest = mapped.write(self.samples, self._read(lengths, bars), (self._bytes(),))
            samples = mapped.read(self.samples, (2 * sum(lengths),), digest).view(torch.int16)
            clips = bars.track(samples.split(lengths), "mel spectrograms, once")
            mels = (clip_mel(clip, self.sample_rate).numpy().view(np.uint8) for clip in clips)
            frames = sum(length // mel.HOP + 1 for length in lengths)
            facts = {"mels": mapped.write(self.mels, mels, (4 * frames * mel.BANDS,))}
        text = json.dumps(facts | {"lengths": lengths, "sha256": digest})
        replace_atomically(self.facts, lambda temporary: temporary.write_text(text))

    def _read(self, lengths: list[int], bars: Bars) -> Iterator[np.ndarray]:
        """The bytes of the samples of each clip; `lengths` gets the number of samples."""
        for name in bars.track(self.sources.names, "reading clips, once"):
            samples = read_clip(self.sources.folder / name, self.sample_rate)
            if len(samples) <= mel.WINDOW // 2:
                raise DataError(
                    f"{self.sources.folder / name} has {counted(len(samples), 'sample')}: too short for a mel spectrogram"
                )
            lengths.append(len(samples))
            yield samples.view(np.uint8)

    def _bytes(self) -> int:
        """About the bytes of all samples: those of WAV files."""
        return sum(max(size, 0) for _, size, _ in self.sources.stamps())


def refuse_short(recordings: Recordings, sources: Sources, segment: int) -> None:
    """Raise DataError if a clip has fewer samples than a segment."""
    short: Tensor = (recordings.lengths < segment).nonzero().flatten()
    if len(short):
        least, first = int(recordings.lengths.min()), int(short[0])
        fits = least // mel.HOP * mel.HOP
        raise DataError(
            f"{sources.folder / sources.names[first]} has {int(recordings.lengths[first]):,} samples, fewer than a segment of "
            f"{segment:,}; {len(short):,} of {len(recordings.lengths):,} clips are so short: remove them, or say "
            f"data.segment={fits}"
        )
