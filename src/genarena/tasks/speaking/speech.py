"""A text, its mel spectrogram, and its sound."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genarena.data.captions.characters import Characters
from genarena.errors import UserError, counted
from genarena.evaluation.figures import png
from genarena.evaluation.sounds import save_wav, stacked
from genarena.files.atomic import replace_atomically
from genarena.likelihood import to_amplitudes
from genarena.models.pronouncing import Pronounces
from genarena.models.vocoding import Vocodes
from genarena.spec import MAX_LEVELS
from genarena.statistics import mel
from genarena.tasks.vocoding.asked import Sound
from genarena.tasks.vocoding.copies import Draw, vocoded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHORTEST = 4  # frames that a vocoder needs


@dataclass(frozen=True)
class Speech:
    """text: its characters. durations (L,): frames of each. mel (80, T). levels (1, 256 (T - 1)) of 16 bits."""

    text: str
    durations: Tensor
    mel: Tensor
    levels: Tensor
    sample_rate: int

    @property
    def seconds(self) -> float:
        return self.levels.shape[1] / self.sample_rate


def mel_of(
    speaker: Pronounces, characters: Characters, text: str, speed: float, temperature: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Durations (L,) of the characters, and the mel (80, T). Raises UserError for a text that the model cannot say."""
    tokens = characters.encode(text)
    tokens = tokens[tokens != 0][None].to(speaker.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        durations = speaker.durations(tokens, temperature, speed)
        made = speaker.pronounce(tokens, durations, temperature)
    try:
        mel.refuse_foreign(made[0])
    except ValueError as error:
        raise UserError(f"mel_run: {error}") from error
    if made.shape[2] < SHORTEST:
        raise UserError(
            f"speed={speed:g}: the text has {counted(made.shape[2], 'frame')}, and a vocoder needs {SHORTEST}"
        )
    return durations[0].cpu(), made[0]


def sound_of(model: Vocodes, frames: Tensor, sigma: float | None, seed: int) -> Tensor:
    """Levels (1, 256 (T - 1)) of a mel (80, T), as `copies.vocoded` makes them. sigma: of the noise; None: the usual one of the
    vocoder."""
    usual = model.usual_sigma or 1.0
    return vocoded(model, Sound(frames.cpu(), None), Draw(usual if sigma is None else sigma, seed=seed)).levels


def write(speech: Speech, out: Path) -> Path:
    """Write the WAV file, and a picture beside it, whose path is returned: the mel that was asked for with its characters, and
    that of the sound."""
    picture, drawn = out.with_suffix(".png"), png(_drawn(speech))
    replace_atomically(picture, lambda temporary: temporary.write_bytes(drawn))
    replace_atomically(out, partial(save_wav, speech.levels, speech.sample_rate))
    return picture


def _drawn(speech: Speech) -> "Figure":
    heard = mel.log_mel(to_amplitudes(speech.levels.double(), MAX_LEVELS), speech.sample_rate)[0]
    drawn = stacked({"mel of the text": speech.mel, "mel of the sound": heard}, speech.sample_rate)
    above = drawn.axes[0]
    frame = above.get_xlim()[1] / speech.mel.shape[1]  # seconds
    ends = speech.durations.cumsum(0)
    for character, end, length in zip(speech.text, ends.tolist(), speech.durations.tolist(), strict=True):
        above.axvline(end * frame, color="white", linewidth=0.3, alpha=0.5)
        above.text((end - length / 2) * frame, -0.5, character, ha="center", va="top", fontsize=7, clip_on=False)
    above.tick_params(axis="x", length=0, labelbottom=False)
    return drawn
