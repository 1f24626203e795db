"""LJ Speech (Ito & Johnson 2017, https://keithito.com/LJ-Speech-Dataset): 13,100 clips, 24 hours, one voice, 22,050 Hz, public
domain."""

import json
from pathlib import Path

import torch
from torch import Tensor

from genarena.data.audio_folder import AudioFolder
from genarena.data.reading.pictures import Sources
from genarena.data.sound.clips import clip_names
from genarena.data.sound.recordings import Recordings
from genarena.errors import DataError, counted

COUNT = 13_100
LISTS = Path(__file__).parent / "sound" / "ljspeech_lists.json"  # names of the clips for validation and test
LEAST = 3  # clips


class LJSpeech(AudioFolder):
    """The whole set has the lists of Tacotron 2 (github.com/NVIDIA/tacotron2, `filelists`), which WaveGlow and most vocoders
    use: 12,500 clips for training, 100 for validation, 500 for test.

    A folder with fewer clips is a part of the set, in the order of their names: a tenth, rounded up, is the test, half as many
    before it, and at least one, validation. Sentences of one chapter stand in both, so it says nothing of other texts.
    """

    name = "ljspeech"

    def location(self) -> Path:
        return Path(self.root) / "LJSpeech-1.1"

    def clip_names(self) -> list[str]:
        """The files of the clips, in order. Raises DataError if they are not there."""
        folder = self.location() / "wavs"
        names = [name for name in clip_names(folder) if name.startswith("LJ")] if folder.is_dir() else []
        if len(names) < LEAST:
            raise DataError(
                f"ljspeech is not in {folder} ({counted(len(names), 'clip')}): unpack LJSpeech-1.1.tar.bz2 of "
                "https://keithito.com/LJ-Speech-Dataset there; data.root or GENARENA_DATA may name another root"
            )
        self._names, self._folders = names, ""
        return names

    def recordings(self) -> Recordings:
        names = self.clip_names()
        return self.read(Sources(self.location() / "wavs", names))

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        if not self.part():
            lists = {name: set(own) for name, own in json.loads(LISTS.read_text()).items()}
            own = [next((part for part in lists if Path(name).stem in lists[part]), "train") for name in self._names]
            return tuple(
                torch.tensor([row for row, part in enumerate(own) if part == name]) for name in ("train", "val", "test")
            )
        every, tenth = torch.arange(len(self._names)), -(-len(self._names) // 10)
        half = max(1, tenth // 2)
        return every[: -tenth - half], every[-tenth - half : -tenth], every[-tenth:]

    def part(self) -> str | None:
        return None if len(self._names) == COUNT else f"{len(self._names)}of{COUNT}"
