"""Writes samples of sound: WAV files to hear, and pictures of their mel spectrograms.

A sample that is not finite has no WAV file; the picture says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from genarena.evaluation import figures
from genarena.files import wave_file
from genarena.likelihood import to_amplitudes
from genarena.spec import DataSpec
from genarena.statistics import mel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

SHOWN = 4  # samples
LONGEST = 110  # characters of a title
QUIETEST, LOUDEST = -11.5, 2.0  # log-magnitudes that are black and white
WIDEST = 14.0  # inches of the spectrogram of a long sound


def save_wav(levels: Tensor, sample_rate: int, path: Path) -> None:
    """Write levels (1, T) as a WAV file of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (levels.reshape(-1).int() - 32_768).numpy().astype("<i2")
    path.write_bytes(wave_file.encoded(samples.tobytes(), sample_rate))


def save_wavs(samples: Tensor, spec: DataSpec, path: Path) -> list[Path]:
    """Write `<stem>-<number>.wav` beside `path` for each sample (N, 1, T) of levels that is finite; returns the paths."""
    written = []
    for number, levels in enumerate(samples):
        if bool(levels.isfinite().all()):
            written.append(path.with_name(f"{path.stem}-{number}.wav"))
            save_wav(levels, spec.sample_rate, written[-1])
    return written


def save_spectrograms(
    samples: Tensor, spec: DataSpec, path: Path, given: Tensor | None = None, title: str = "sample"
) -> None:
    """Write a PNG of the mel spectrograms of the first samples (N, 1, T) of levels, side by side. given (N, 80, frames): the
    mels that they were drawn for, below them. title: of each, before its number."""
    samples = samples[:SHOWN]
    rows = 1 if given is None else 2
    drawn = figures.figure(0.6 + 3.0 * len(samples), 0.4 + 2.0 * rows)
    axes = drawn.subplots(rows, len(samples), squeeze=False, sharex=True, sharey=True)
    for column, levels in enumerate(samples):
        _draw(axes[0, column], _spectrogram(levels, spec), spec.sample_rate, f"{title} {column}")
        if given is not None:
            _draw(axes[1, column], given[column], spec.sample_rate, "asked for")
        axes[-1, column].set_xlabel("seconds")
    for row in axes:
        row[0].set_ylabel("mel band")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(figures.png(drawn))


def stacked(mels: Mapping[str, Tensor], sample_rate: int) -> Figure:
    """Mel spectrograms (80, frames) of one sound, one above the other under their titles, in the same colours."""
    seconds = next(iter(mels.values())).shape[1] * mel.HOP / sample_rate
    drawn = figures.figure(1.4 + min(WIDEST, max(4.0, 1.5 * seconds)), 0.5 + 1.9 * len(mels))
    axes = drawn.subplots(len(mels), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for each, (title, shown) in zip(axes, mels.items(), strict=True):
        image = _draw(each, shown, sample_rate, title)
        each.set_ylabel("mel band")
    axes[-1].set_xlabel("seconds")
    drawn.colorbar(image, ax=list(axes), label="log-magnitude", aspect=15 * len(mels), pad=0.01)
    return drawn


def save_mels(samples: Tensor, spec: DataSpec, path: Path, titles: Sequence[str] = ()) -> None:
    """Write a PNG of the first mel spectrograms (N, 80, frames), below each other, without the silence behind them. titles:
    what is said in each."""
    samples = samples[:SHOWN]
    drawn = figures.figure(9.0, 0.4 + 1.8 * len(samples))
    for number, (axes, sample) in enumerate(
        zip(drawn.subplots(len(samples), 1, squeeze=False)[:, 0], samples, strict=True)
    ):
        shown = sample[:, : int(mel.lengths(sample[None]))] if bool(sample.isfinite().all()) else None
        said = titles[number].strip() if number < len(titles) else f"sample {number}"
        _draw(axes, shown, spec.sample_rate, said if len(said) <= LONGEST else f"{said[:LONGEST]} ...")
        axes.set_ylabel("mel band")
    axes.set_xlabel("seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(figures.png(drawn))


def _spectrogram(levels: Tensor, spec: DataSpec) -> Tensor | None:
    """(80, frames); None for a sample that is not finite."""
    if not bool(levels.isfinite().all()):
        return None
    return mel.log_mel(to_amplitudes(levels.double(), spec.num_levels), spec.sample_rate)[0]


def _draw(axes: Axes, mel_spectrogram: Tensor | None, sample_rate: int, title: str) -> AxesImage | None:
    if mel_spectrogram is None:
        axes.set_title(f"{title}: not finite", fontsize=9)
        return None
    axes.set_title(title, fontsize=9)
    shown = mel_spectrogram.cpu().numpy()
    extent = (0.0, (shown.shape[1] - 1) * mel.HOP / sample_rate, 0.0, float(mel.BANDS))
    return axes.imshow(shown, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=QUIETEST, vmax=LOUDEST)
