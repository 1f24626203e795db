"""Writes samples of sound: WAV files to hear, and a picture of their mel spectrograms.

A sample that is not finite has no WAV file; the picture says so.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from genarena.likelihood import to_amplitudes
from genarena.spec import DataSpec
from genarena.statistics import mel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 4  # samples
QUIETEST, LOUDEST = -11.5, 2.0  # log-magnitudes that are black and white


def save_wav(levels: Tensor, sample_rate: int, path: Path) -> None:
    """Write levels (1, T) as a WAV file of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (levels.reshape(-1).int() - 32_768).numpy().astype("<i2")
    with open(path, "wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(sample_rate)
        sound.writeframes(samples.tobytes())


def save_wavs(samples: Tensor, spec: DataSpec, path: Path) -> list[Path]:
    """Write `<stem>-<number>.wav` beside `path` for each sample (N, 1, T) of levels that is finite; returns the paths."""
    written = []
    for number, levels in enumerate(samples):
        if bool(levels.isfinite().all()):
            written.append(path.with_name(f"{path.stem}-{number}.wav"))
            save_wav(levels, spec.sample_rate, written[-1])
    return written


def save_spectrograms(samples: Tensor, spec: DataSpec, path: Path, given: Tensor | None = None) -> None:
    """Write a PNG of the mel spectrograms of the first samples (N, 1, T) of levels, side by side. given (N, 80, frames): the
    mels that they were drawn for, below them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    samples = samples[:SHOWN]
    rows = 1 if given is None else 2
    figure = Figure(figsize=(0.6 + 3.0 * len(samples), 0.4 + 2.0 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(samples), squeeze=False, sharex=True, sharey=True)
    for column, levels in enumerate(samples):
        _draw(axes[0, column], _spectrogram(levels, spec), spec, f"sample {column}")
        if given is not None:
            _draw(axes[1, column], given[column], spec, "asked for")
        axes[-1, column].set_xlabel("seconds")
    for row in axes:
        row[0].set_ylabel("mel band")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, format="png")


def _spectrogram(levels: Tensor, spec: DataSpec) -> Tensor | None:
    """(80, frames); None for a sample that is not finite."""
    if not bool(levels.isfinite().all()):
        return None
    return mel.log_mel(to_amplitudes(levels.double(), spec.num_levels), spec.sample_rate)[0]


def _draw(axes: Axes, mel_spectrogram: Tensor | None, spec: DataSpec, title: str) -> None:
    if mel_spectrogram is None:
        axes.set_title(f"{title}: not finite", fontsize=9)
        return
    axes.set_title(title, fontsize=9)
    extent = (0.0, spec.shape[1] / spec.sample_rate, 0.0, float(mel.BANDS))
    shown = mel_spectrogram.cpu().numpy()
    axes.imshow(shown, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=QUIETEST, vmax=LOUDEST)
