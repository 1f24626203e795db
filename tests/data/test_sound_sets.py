"""Sets of sound: exact samples, segments with the frames of their clip, splits by clip, and clips that are refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from genarena.build import build
from genarena.config import check, compose
from genarena.data.base import ArenaDataModule
from genarena.data.batches import Batches
from genarena.data.ljspeech import LISTS, LJSpeech
from genarena.data.reading.lazy import Lazy
from genarena.data.sound import recordings
from genarena.data.toy_audio import SILENCE, VOICES, ToyAudio, autocorrelation
from genarena.errors import DataError, UserError
from genarena.likelihood import to_amplitudes
from genarena.spec import DataSpec
from genarena.statistics import mel
from genarena.statistics.autoregression import every_order
from tests.data.small_sets import noise, sound


def made(name: str, *options: str) -> ArenaDataModule:
    data = build(compose(check(["model=uniform", f"data={name}", *options])).data, "data")
    data.setup()
    return data


def folder_of(root: Path, *options: str) -> ArenaDataModule:
    return made("audio_folder", f"data.root={root}", "data.segment=512", "data.stride=256", *options)


def write(root: Path, num: int = 4, length: int = 1_600) -> list[np.ndarray]:
    clips = [noise(length) for _ in range(num)]
    for index, clip in enumerate(clips):
        sound(root / f"{index}.wav", clip)
    return clips


# -- segments


def test_levels_are_the_integers_of_the_file_plus_32768(tmp_path: Path) -> None:
    clips = write(tmp_path)
    clips[0][:4] = (-32_768, 0, 32_766, -1)
    sound(tmp_path / "0.wav", clips[0])
    data = folder_of(tmp_path)
    for number, clip in enumerate(clips):
        levels, found = data.clips.clip(number)
        assert levels.dtype == torch.int32 and np.array_equal(levels[0].numpy(), clip + 32_768)
        wanted = mel.log_mel(torch.from_numpy(clip / 32_768)[None], 22_050)[0].float()
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_segment_has_the_samples_and_the_frames_of_its_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    write(tmp_path)
    monkeypatch.setattr(recordings, "IN_MEMORY", 2**26 if in_memory else 0)
    data = folder_of(tmp_path, "data.condition=mel")
    assert isinstance(data.train.x, torch.Tensor) == in_memory
    for split, clips, stride in zip((data.train, data.val, data.test), data.parts(), (256, 512, 512), strict=True):
        rows = iter(range(split.size))
        for number in clips.tolist():
            levels, frames = data.clips.clip(number)
            for start in range(0, levels.shape[1] - 511, stride):
                row = next(rows)
                assert torch.equal(split.x[row], levels[:, start : start + 512])
                assert torch.equal(split.mels[row], frames[:, start // 256 : start // 256 + 3])
        assert next(rows, None) is None, "and no other segment"


def test_batches_hold_the_mel_of_each_segment(tmp_path: Path) -> None:
    write(tmp_path)
    data = folder_of(tmp_path, "data.condition=mel")
    batch = next(iter(Batches(data.train, 5, shuffle=True, condition=data.spec.condition)))
    data.spec.condition.check(batch.y, 5)
    for x, y in zip(batch.x, batch.y, strict=True):
        (row,) = [row for row in range(data.train.size) if torch.equal(data.train.x[row], x)]
        assert torch.equal(data.train.mels[row], y)
    assert torch.equal(data.test[:1].given(data.spec.condition), data.test.mels[:1])


def test_the_id_depends_on_the_samples_and_the_segments_but_not_on_the_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = write(tmp_path)
    plain = folder_of(tmp_path).facts["id"]
    assert folder_of(tmp_path, "data.condition=mel").facts["id"] == plain
    assert folder_of(tmp_path, "data.stride=512").facts["id"] != plain
    monkeypatch.setattr(recordings, "IN_MEMORY", 0)
    lazy = folder_of(tmp_path)
    assert isinstance(lazy.train.x, Lazy)
    clips[2][700] += 1
    sound(tmp_path / "2.wav", clips[2])
    assert folder_of(tmp_path).facts["id"] != lazy.facts["id"]


def test_splits_are_by_clip_or_by_folder(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write(tmp_path / part, 2)
    data = folder_of(tmp_path)
    assert [part.tolist() for part in data.parts()] == [[2, 3], [4, 5], [0, 1]], "sorted paths: test, train, val"
    assert data.facts["split"] == "folders test, train, val"


# -- clips that are refused


@pytest.mark.parametrize(
    ("clip", "rate", "channels", "said"),
    [
        (noise(1_600), 16_000, 1, "has 16,000 samples a second, and this set 22,050"),
        (noise(1_600), 22_050, 2, "has 2 channels: expected one"),
        (np.full(1_600, 3), 22_050, 1, "is silent: its loudest sample is 3 of 32,767"),
        (np.clip(20 * noise(1_600), -32_768, 32_767), 22_050, 1, "is clipped: "),
        (noise(600), 22_050, 1, "has 600 samples, fewer than a segment of 1,024"),
        (noise(100), 22_050, 1, "has 100 samples: too short"),
    ],
)
def test_a_bad_clip_is_refused_by_name(tmp_path: Path, clip: np.ndarray, rate: int, channels: int, said: str) -> None:
    write(tmp_path)
    sound(tmp_path / "odd.wav", clip, rate, channels)
    with pytest.raises(DataError, match=said) as refused:
        made("audio_folder", f"data.root={tmp_path}", "data.segment=1024")
    assert "odd.wav" in str(refused.value) and "\n" not in str(refused.value)


def test_files_of_floats_and_flac_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    import soundfile

    (clip, *_), path = write(tmp_path), tmp_path / "odd.wav"
    soundfile.write(tmp_path / "1.flac", clip.astype(np.int16), 22_050)
    soundfile.write(tmp_path / "2.wav", clip / 32_768, 22_050, "FLOAT")
    data = folder_of(tmp_path)
    assert all(np.array_equal(data.clips.clip(number)[0][0].numpy(), clip + 32_768) for number in (0, 1, 3)), (
        "0.wav, 1.flac, 2.wav"
    )
    for broken, said in ((np.nan, "not finite, the first at sample 7"), (1.5, "has samples up to 1.5")):
        floats = clip / 32_768
        floats[7] = broken
        soundfile.write(path, floats, 22_050, "FLOAT")
        with pytest.raises(DataError, match=said):
            folder_of(tmp_path)
    path.write_bytes(b"RIFF, not really")
    with pytest.raises(DataError, match="odd.wav cannot be read as sound"):
        folder_of(tmp_path)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("data.segment=1000", "data.segment=1000: expected a multiple of 256, such as 768"),
        ("data.stride=100", "data.stride=100: expected a multiple of 256, such as 256"),
        ("data.sample_rate=8000", "data.sample_rate=8000: expected at least 16000"),
    ],
)
def test_impossible_options_are_refused(option: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        made("toy_audio", option)


# -- LJ Speech


def test_the_lists_are_those_of_tacotron() -> None:
    lists = json.loads(LISTS.read_text())
    assert [len(lists[part]) for part in ("val", "test")] == [100, 500]
    assert not set(lists["val"]) & set(lists["test"]) and "LJ022-0023" in lists["val"]


def test_a_part_is_split_by_clip_in_order(tmp_path: Path) -> None:
    for index in range(29):
        sound(tmp_path / "LJSpeech-1.1" / "wavs" / f"LJ001-{index + 1:04}.wav", noise(700))
    data = made("ljspeech", f"data.root={tmp_path}", "data.segment=512")
    assert [part.tolist() for part in data.parts()] == [[*range(25)], [25], [26, 27, 28]]
    assert data.facts["id"].startswith("ljspeech-29of13100-")


def test_the_whole_set_has_the_lists() -> None:
    data = LJSpeech(DataSpec((1, 8192), 65_536, sample_rate=22_050))
    data._names, data._folders = [f"LJ{book:03}-{clip:04}.wav" for book in range(131) for clip in range(100)], ""
    train, val, test = data.parts()
    assert data.part() is None and len(train) + len(val) + len(test) == 13_100
    assert {data._names[row] for row in val.tolist()} <= {f"{name}.wav" for name in _list("val")}
    assert {data._names[row] for row in test.tolist()} <= {f"{name}.wav" for name in _list("test")}


def _list(part: str) -> list[str]:
    return json.loads(LISTS.read_text())[part]


# -- made sound


@pytest.fixture(scope="module")
def toy() -> ToyAudio:
    return made("toy_audio", "data.num_clips=40")


def test_its_log_density_is_that_of_the_mixture(toy: ToyAudio) -> None:
    x = (toy.test.x[:7, 0, :48] - SILENCE).double()
    each = []
    for voice in range(len(VOICES)):
        lags = autocorrelation(voice, 22_050)
        coefficients = torch.linalg.solve(lags[_distance(4)], lags[1:5])
        more = [*lags.tolist()]
        for _ in range(5, 48):
            more.append(sum(a * r for a, r in zip(coefficients.tolist(), more[:-5:-1], strict=True)))
        covariance = torch.tensor(more, dtype=torch.float64)[_distance(48)]
        each.append(torch.distributions.MultivariateNormal(torch.zeros(48).double(), covariance).log_prob(x))
    found = toy.log_density(toy.test.x[:7, :, :48])
    assert torch.allclose(found, torch.stack(each).logsumexp(0) - math.log(4.0), atol=1e-6)


def _distance(size: int) -> torch.Tensor:
    return (torch.arange(size)[:, None] - torch.arange(size)).abs()


def test_samples_have_the_entropy_of_their_process(toy: ToyAudio) -> None:
    """-log p of a segment is 1/2 (D log(2 pi v) + chi^2_D) nats for its own voice, up to the first four samples."""
    dims = toy.spec.num_dims
    for voice in range(len(VOICES)):
        rows = toy.test.x[toy.test.y == voice]
        bits = -toy.log_density(rows).mean() / (dims * math.log(2.0))
        variances = every_order(autocorrelation(voice, 22_050))[1]
        log_volume = variances[:4].log().sum() + (dims - 4) * variances[4].log()
        nats = 0.5 * (log_volume + dims * math.log(2.0 * math.pi * math.e)) + math.log(4.0)
        spread = math.sqrt(0.5 / (dims * len(rows))) / math.log(2.0)
        assert bits.item() == pytest.approx(nats.item() / (dims * math.log(2.0)), abs=3 * spread)


def test_its_mel_tells_its_voice(toy: ToyAudio) -> None:
    """The loudest band of a clip's mean mel is at one of its resonances."""
    levels, frames = toy.clips.clip(2)
    assert levels.shape == (1, 8192) and frames.shape == (80, 33)
    spectrum = mel.log_mel(to_amplitudes(levels.double(), 65_536), 22_050)[0]
    assert torch.allclose(frames, spectrum.float())


def test_more_training_clips_leave_the_held_out_ones(toy: ToyAudio) -> None:
    more = made("toy_audio", "data.num_clips=44")
    assert torch.equal(more.test.x, toy.test.x) and torch.equal(more.val.mels, toy.val.mels)
    assert torch.equal(more.train.x[: toy.train.size], toy.train.x)


def test_one_voice_has_a_density_of_its_own() -> None:
    one = made("toy_audio", "data.num_clips=4", "data.only=1")
    assert set(one.test.y.tolist()) == {1}
    every = made("toy_audio", "data.num_clips=4")
    rows = one.test.x[:5]
    assert torch.allclose(one.log_density(rows) - math.log(4.0), every.log_density(rows), atol=1e-6)
