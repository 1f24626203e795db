"""LJ Speech as mel spectrograms with their texts: clips, mels and splits are those of `ljspeech`."""

from functools import cached_property
from pathlib import Path

from torch import Tensor

from genarena.data.ljspeech import LJSpeech
from genarena.data.sound.spoken_set import Spoken, SpokenSet
from genarena.data.sound.transcripts import transcripts
from genarena.spec import MAX_LEVELS, DataSpec
from genarena.statistics import mel

SEGMENT = 4 * mel.HOP  # samples that each clip has at least


class LJSpeechText(SpokenSet):
    """Texts are those of `metadata.csv` with numbers written out. No clip of LJ Speech is longer than 870 frames."""

    name = "ljspeech_text"

    def location(self) -> Path:
        return self._sound.location()

    def texts(self) -> list[str]:
        return transcripts(self.location() / "metadata.csv", self._clips())

    def spoken(self) -> Spoken:
        texts, clips = self.texts(), self._sound.recordings()  # missing texts are found before sound is read
        return Spoken(clips.mels, clips.lengths // mel.HOP + 1, texts, self._clips())

    def _clips(self) -> list[str]:
        return [Path(name).stem for name in self._sound.clip_names()]

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self._sound.parts()

    def part(self) -> str | None:
        return self._sound.part()

    @cached_property
    def _sound(self) -> LJSpeech:
        spec = DataSpec((1, SEGMENT), MAX_LEVELS, sample_rate=self.sample_rate)
        return LJSpeech(spec, root=self.root, segment=SEGMENT, stride=SEGMENT, sample_rate=self.sample_rate)
