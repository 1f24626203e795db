"""Durations of characters from a file: what batches have of them, and files that do not fit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genarena.data.batches import Batches
from genarena.data.toy_speech import DURATIONS, ToySpeech
from genarena.errors import DataError
from genarena.spec import DataSpec

TRAINING = range(60, 80)  # numbers of the sentences behind those that are held out


def made(durations: Path | None = None, condition: str | None = "characters", **options: object) -> ToySpeech:
    spec = DataSpec((80, 64), sample_rate=22_050)
    where = None if durations is None else str(durations)
    data = ToySpeech(spec, frames=64, num_sentences=len(TRAINING), durations=where, **options)
    data.condition = condition
    data.setup()
    return data


def lines() -> list[str]:
    texts = [
        f" {text} " for text in ToySpeech(DataSpec((80, 64), sample_rate=22_050), frames=64, num_sentences=20).texts()
    ]
    return [f"sentence {n}|{' '.join(str(DURATIONS[letter]) for letter in texts[n])}" for n in TRAINING]


def written(folder: Path, rows: list[str]) -> Path:
    path = folder / "durations.txt"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_training_batches_have_the_durations_and_others_have_none(tmp_path: Path) -> None:
    data = made(written(tmp_path, lines()[::-1]))
    condition, letters = data.vocabulary().condition(), data.vocabulary()
    y = next(iter(Batches(data.train, 4, shuffle=True, condition=condition))).y
    assert y.shape == (4, 2, letters.length)
    for tokens, durations in y:
        wanted = [DURATIONS[letter] for letter in letters.decode(tokens)]
        assert durations.tolist() == wanted + [0] * (letters.length - len(wanted))
    assert next(iter(Batches(data.val, 4, condition=condition))).y.shape == (4, letters.length)
    assert data.train.batch(condition).y.shape == (20, letters.length), "evaluation aligns training clips as others"
    cut = made(written(tmp_path, lines()), max_train=2)
    assert cut.train.durations.shape == (2, letters.length)


def test_durations_are_part_of_the_data_id(tmp_path: Path) -> None:
    told = lines()
    last = told[-1].rsplit(" ", 2)
    other = f"{last[0]} {int(last[1]) - 1} {int(last[2]) + 1}"
    ids = {made(path).facts["id"] for path in (None, written(tmp_path, told))}
    assert len(ids | {made(written(tmp_path, [*told[:-1], other])).facts["id"]}) == 3
    assert made(written(tmp_path, ["", *told[::-1]])).facts["id"] in ids


def changed(row: int, change: Callable[[str], str]) -> Callable[[list[str]], list[str]]:
    return lambda rows: [change(text) if number == row else text for number, text in enumerate(rows)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed(1, lambda text: text.replace("61", "99")), "line 2: the data has no clip sentence 99"),
        (changed(2, lambda text: text + " 3"), r"line 3: \d+ durations, and sentence 62 has \d+ characters"),
        (changed(0, lambda text: text[:-1] + "4"), r"line 1: the durations add up to \d+ frames, and sentence 60 has"),
        (changed(3, lambda text: text[:-1] + "-2"), "line 4: '-2' is no duration"),
        (changed(3, lambda text: text[:-1] + "0"), "line 4: '0' is no duration"),
        (changed(3, lambda text: text[:-1] + "nan"), "line 4: 'nan' is no duration"),
        (changed(3, lambda text: text[:-1] + "2.5"), "line 4: '2.5' is no duration"),
        (changed(3, lambda text: text[:-1] + "9" * 5000), "is no duration"),
        (changed(2, lambda text: text.replace("|", " ")), "line 3: expected <clip>|"),
        (changed(2, lambda text: text.split("|")[0] + "|"), "line 3: expected <clip>|"),
        (lambda rows: [*rows, rows[1]], "line 21: the clip sentence 61 is in line 2 too"),
        (lambda rows: rows[:-1], "no line for the training clip sentence 79"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_line(tmp_path: Path, change: Callable, said: str) -> None:
    with pytest.raises(DataError, match=said.replace("|", r"\|")) as refused:
        made(written(tmp_path, change(lines())))
    assert "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)


def test_other_files_and_models_without_characters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data.durations=.*: there is no such file"):
        made(tmp_path / "nothing.txt")
    (tmp_path / "binary.txt").write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match="cannot be read as text"):
        made(tmp_path / "binary.txt")
    with pytest.raises(DataError, match="say data.condition=characters"):
        made(written(tmp_path, lines()), condition=None)


def test_all_that_is_known_of_a_split_is_cut_with_it(tmp_path: Path) -> None:
    split = made(written(tmp_path, lines())).train
    rows = torch.tensor([2, 0])
    assert torch.equal(split[rows].durations, split.durations[rows])
