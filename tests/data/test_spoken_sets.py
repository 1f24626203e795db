"""Sets of speech with its text: mels of whole clips with silence behind them, characters, and clips that are refused."""

from pathlib import Path

import pytest
import torch

from genarena.build import build
from genarena.config import check, compose
from genarena.data.base import ArenaDataModule
from genarena.data.batches import Batches
from genarena.data.reading.lazy import Lazy
from genarena.data.sound import spoken_set
from genarena.data.sound.recordings import clip_mel
from genarena.data.toy_speech import DURATIONS, ToySpeech, column
from genarena.errors import DataError, UserError
from genarena.runs import classes
from genarena.spec import DataSpec
from genarena.statistics import mel
from tests.data.small_sets import noise, sound


def made(root: Path, *options: str) -> ArenaDataModule:
    line = ["model=uniform", "data=ljspeech_text", f"data.root={root}", "data.frames=16", *options]
    data = build(compose(check(line)).data, "data")
    data.setup()
    return data


def write(root: Path, num: int = 6, said: str = "a bad cab") -> list:
    clips = [noise(2_560 + 256 * (index % 3)) for index in range(num)]
    for index, clip in enumerate(clips):
        sound(root / "LJSpeech-1.1" / "wavs" / f"LJ001-{index:04}.wav", clip)
    rows = [f"LJ001-{index:04}|{index}|{said}" for index in range(num)]
    (root / "LJSpeech-1.1" / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    return clips


@pytest.mark.parametrize("in_memory", [True, False])
def test_examples_are_the_mels_of_whole_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool) -> None:
    clips = write(tmp_path)
    monkeypatch.setattr(spoken_set, "IN_MEMORY", 2**26 if in_memory else 0)
    data = made(tmp_path)
    assert isinstance(data.train.x, Lazy) != in_memory
    rows = torch.cat(data.parts()).tolist()
    assert sorted(rows) == list(range(6)) and data.facts["id"].startswith("ljspeech_text-6of13100-")
    x = torch.cat([part.x[:] for part in (data.train, data.val, data.test)])
    for row, found in zip(rows, x, strict=True):
        wanted = clip_mel(torch.from_numpy(clips[row]).short(), 22_050).T
        assert torch.equal(found[:, : wanted.shape[1]], wanted)
        assert int(mel.lengths(found[None])) == wanted.shape[1]
        assert (found[:, wanted.shape[1] :] == torch.tensor(mel.FLOOR).log()).all()
    assert data.facts == made(tmp_path).facts


def test_batches_hold_the_characters(tmp_path: Path) -> None:
    write(tmp_path)
    line = [
        "model=mel_from_text",
        "data=ljspeech_text",
        f"data.root={tmp_path}",
        "data.frames=16",
        "data.condition=characters",
    ]
    from omegaconf import OmegaConf

    cfg = classes.resolved(OmegaConf.to_container(compose(check(line)), resolve=True))
    data = build(cfg["data"], "data")
    data.setup()
    batch = next(iter(Batches(data.train, 2, shuffle=True, condition=data.spec.condition)))
    data.spec.condition.check(batch.y, 2)
    assert data.vocabulary().decode(batch.y[0]) == " a bad cab "


def said_of(root: Path, line: int, text: str) -> None:
    path = root / "LJSpeech-1.1" / "metadata.csv"
    rows = path.read_text().splitlines()
    rows[line] = text
    path.write_text("\n".join(row for row in rows if row))


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (2, "", "metadata.csv has no text of the clip LJ001-0002"),
        (1, "LJ001-0001|1|...", "the text of the clip LJ001-0001 has nothing that is said"),
        (3, "LJ001-0003|a cab", "line 4: 2 parts, expected"),
        (5, "LJ001-0005|x|a 2nd cab", "LJ001-0005: character '2' in .* is in no training text"),
        (0, "LJ001-0000|x|a cab, a cab", "LJ001-0000 has 11 frames for 14 characters"),
    ],
)
def test_a_bad_text_is_refused_by_name(tmp_path: Path, line: int, text: str, said: str) -> None:
    write(tmp_path)
    said_of(tmp_path, line, text)
    with pytest.raises(DataError, match=said) as refused:
        made(tmp_path)
    assert "\n" not in str(refused.value)


def test_missing_texts_and_long_clips_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DataError, match="LJ001-0001 has 12 frames, more than data.frames=11"):
        made(tmp_path, "data.frames=11")
    (tmp_path / "LJSpeech-1.1" / "metadata.csv").unlink()
    with pytest.raises(DataError, match="metadata.csv is missing: it has the texts of the clips"):
        made(tmp_path)


def test_data_without_speech_has_no_characters() -> None:
    cfg = {"data": {"condition": "characters", "spec": {"condition": "characters"}}, "choices": {"data": "digits"}}
    digits = compose(["model=uniform", "data=digits"]).data
    cfg["data"] = {**digits, **cfg["data"], "spec": {**digits.spec, "condition": "characters"}}
    with pytest.raises(UserError, match="there are no texts that are spoken in data=digits"):
        classes.resolved(cfg)


def test_made_speech_is_its_columns_and_noise() -> None:
    data = ToySpeech(DataSpec((80, 64), sample_rate=22_050), frames=64, num_sentences=20)
    data.setup()
    letters = data.vocabulary()
    for x, tokens in zip(data.train.x, data.train.captions[:, 0], strict=True):
        columns = [column(letter) for letter in letters.decode(tokens) for _ in range(DURATIONS[letter])]
        frames = int(mel.lengths(x[None]))
        assert frames == len(columns)
        assert (x[:, :frames] - torch.stack(columns, 1)).std().item() == pytest.approx(0.2, rel=0.1)
