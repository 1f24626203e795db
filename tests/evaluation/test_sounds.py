"""Samples of sound: WAV files of exactly these integers, and spectrograms beside the mels that were asked for."""

import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from genarena.evaluation.evidence.samples import Samples
from genarena.evaluation.pictures import save_samples, save_sound
from genarena.evaluation.sounds import SHOWN, save_wavs
from genarena.likelihood import to_amplitudes
from genarena.spec import DataSpec
from genarena.statistics import mel

SPEC = DataSpec((1, 1024), 65_536, sample_rate=22_050, condition="mel")


def levels(num: int) -> torch.Tensor:
    return torch.randint(65_536, (num, 1, 1024), generator=torch.Generator().manual_seed(0), dtype=torch.int32)


def test_a_wav_file_has_the_integers_of_the_levels(tmp_path: Path) -> None:
    x = levels(2)
    x[0, 0, :3] = torch.tensor([0, 32_768, 65_535])
    paths = save_wavs(x, SPEC, tmp_path / "final.png")
    assert [path.name for path in paths] == ["final-0.wav", "final-1.wav"]
    for path, row in zip(paths, x, strict=True):
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, 1, 2)
            heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert np.array_equal(heard.astype(np.int32) + 32_768, row[0].numpy())


def test_spectrograms_stand_above_the_mels_that_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    draw = Axes.imshow
    monkeypatch.setattr(Axes, "imshow", lambda self, x, **style: shown.append(x) or draw(self, x, **style))
    x, y = levels(SHOWN + 2), torch.randn(SHOWN + 2, 80, 5) - 5.0
    save_sound(x, SPEC, tmp_path / "final.png", y)
    assert (tmp_path / "final.png").is_file()
    assert len(list(tmp_path.glob("final-*.wav"))) == SHOWN, "a few are enough"
    for column in range(SHOWN):
        wanted = mel.log_mel(to_amplitudes(x[column].double(), 65_536), 22_050)[0]
        assert np.allclose(shown[2 * column], wanted.numpy())
        assert np.array_equal(shown[2 * column + 1], y[column].numpy())


def test_a_sample_that_is_not_finite_is_no_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda self, text, **style: titles.append(text))
    x = levels(2).float()
    x[1, 0, 5] = float("nan")
    save_sound(x, SPEC, tmp_path / "final.png", None)
    assert titles == ["sample 0", "sample 1: not finite"]
    assert [path.name for path in tmp_path.glob("*.wav")] == ["final-0.wav"]


def test_sound_is_a_picture_too(tmp_path: Path) -> None:
    save_samples(levels(2), SPEC, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_each_mel_is_asked_for_once() -> None:
    class Subject:
        data = type("Data", (), {"spec": SPEC})
        held_out = type("Split", (), {"size": 54})
        model = object()

    settings = Samples.Settings(num_samples=1000)
    assert Samples(Subject(), settings, None).num_samples() == 54
