"""Sets of pictures with captions: files, words, splits, what training sees, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from genarena.data.batches import Batches, Split
from genarena.data.caption_folder import CaptionFolder
from genarena.data.captions.vocabulary import split_words
from genarena.data.emoji import Emoji, captions_of, recombined
from genarena.data.reading.captions import captions_of as captions_of_folder
from genarena.errors import DataError
from genarena.runs import classes
from genarena.spec import Condition, DataSpec
from tests.conftest import SHARED_DATA

CAPTIONS = Condition("caption", 9, (2,))


def save(root: Path, name: str, level: int = 0) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), level).save(root / name)


def ready(root: Path, **options: object) -> CaptionFolder:
    data = CaptionFolder(DataSpec((1, 8, 8), 256), root=str(root), image_size=8, channels=1, **options)
    data.setup()
    return data


# -- files -------------------------------------------------------------------------------------------------------------


def test_texts_beside_pictures_and_tables_are_read(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/3.png", "b/4.png"):
        save(tmp_path, name)
    (tmp_path / "a/1.txt").write_text("\ufeffone\n\n  uno \n", encoding="utf-8")
    (tmp_path / "a/metadata.jsonl").write_text(
        json.dumps({"file_name": "2.png", "text": "two", "captions": ["two", "dos"]})
        + "\n\n"
        + json.dumps({"file_name": "1.png", "text": "not this: the text file counts"})
    )
    (tmp_path / "captions.csv").write_text('image,caption\nb/3.png,"three, drei"\nb/4.png,four\nb/4.png,vier\n')
    names = ["a/1.png", "a/2.png", "b/3.png", "b/4.png"]
    assert captions_of_folder(tmp_path, names) == [["one", "uno"], ["two", "dos"], ["three, drei"], ["four", "vier"]]


@pytest.mark.parametrize(
    ("table", "content", "said"),
    [
        ("metadata.jsonl", '{"file_name": "1.png"}', "line 1: expected file_name and text"),
        ("metadata.jsonl", "\n[1]", "line 2: expected file_name and text"),
        ("metadata.jsonl", "{", "line 1: is not JSON"),
        ("captions.csv", "picture;caption\n", "expected the columns file_name and text"),
        ("captions.csv", "file,caption\n1.png,\n", "line 2: expected file_name and text"),
        ("captions.csv", "file,words\n1.png,red\n", "expected the columns file_name and text .* it has file, words"),
        ("captions.csv", "file,text\n1.png," + 200_000 * "a", "line 1: is not CSV"),
        ("metadata.jsonl", 2_000 * "[" + 100_000 * "[", "line 1: is not JSON"),
        ("metadata.jsonl", '{"file_name": "1.png", "text": "..."}', "1.png has no caption"),
        (
            "metadata.csv",
            "file_name,text\n2.png,two\n",
            "1.png has no caption: expected 1.txt beside it, or a line in meta",
        ),
    ],
)
def test_what_is_no_caption_is_refused_in_one_line(tmp_path: Path, table: str, content: str, said: str) -> None:
    save(tmp_path, "1.png")
    (tmp_path / table).write_text(content)
    with pytest.raises(DataError, match=said):
        captions_of_folder(tmp_path, ["1.png"])


def test_texts_of_tables_may_have_ends_of_lines(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        save(tmp_path, name)
    (tmp_path / "captions.csv").write_text('file,text\n1.png,"red\nsea"\n')
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "2.png", "text": "blue\u2028sea"}\n', encoding="utf-8")
    assert captions_of_folder(tmp_path, ["1.png", "2.png"]) == [["red\nsea"], ["blue\u2028sea"]]


def test_a_line_without_words_is_no_caption(tmp_path: Path) -> None:
    save(tmp_path, "1.png")
    (tmp_path / "1.txt").write_text("...\nred sea\n!\n")
    assert captions_of_folder(tmp_path, ["1.png"]) == [["red sea"]]


def test_a_text_that_is_no_text_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "1.png")
    (tmp_path / "1.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="1.txt cannot be read as text"):
        captions_of_folder(tmp_path, ["1.png"])


# -- splits and words --------------------------------------------------------------------------------------------------


def test_captions_stay_with_their_pictures(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for index in range(30):
        save(tmp_path, f"{index}.png", level=index)
        (tmp_path / f"{index}.txt").write_text(f"picture {index}\nlevel {index}\nthing")
    data = ready(tmp_path)
    assert (data.train.size, data.val.size, data.test.size) == (24, 3, 3)
    words = data.vocabulary()
    for split in (data.train, data.val, data.test):
        for x, captions in zip(split.x, split.captions, strict=True):
            level = str(int(x[0, 0, 0]))
            said = level if level in words.words else "?"
            assert [words.decode(row) for row in captions] == [f"picture {said}", f"level {said}", "thing"]
    assert {str(int(x[0, 0, 0])) for x in data.train.x} == set(words.words) - {"", "?", "picture", "level", "thing"}
    assert ".txt" not in capsys.readouterr().err
    (tmp_path / "0.txt").write_text("picture 0\nlevel 0\nother")
    assert ready(tmp_path).facts["id"] != data.facts["id"]


def test_other_words_are_another_set(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    found = []
    for said in ("a red sea", "a rot sea", "a red sea" + 60 * " and sea"):
        for index in range(20):
            save(tmp_path, f"{index}.png", level=index)
            (tmp_path / f"{index}.txt").write_text(said)
        found.append(ready(tmp_path))
    red, rot, long = found
    assert torch.equal(red.train.captions, rot.train.captions) and red.facts["id"] != rot.facts["id"]
    assert long.train.captions.shape == (16, 1, 48)
    said = "20 of 20 captions have more than 48 words, of which the rest is not read"
    assert capsys.readouterr().err.count(said) == 1


def test_words_reach_the_model_before_it_is_built(tmp_path: Path) -> None:
    for index in range(20):
        save(tmp_path, f"{index}.png", level=index)
        (tmp_path / f"{index}.txt").write_text("red sea")
    spec = {"_target_": "genarena.spec.DataSpec", "shape": [1, 8, 8], "num_levels": 256, "condition": "caption"}
    node = {
        "_target_": "genarena.data.caption_folder.CaptionFolder",
        "spec": spec,
        "root": str(tmp_path),
        "text": "pooled",
    }
    node |= {"image_size": 8, "channels": 1, "condition": "caption"}
    cfg = {"data": node, "model": {"spec": spec}, "choices": {"data": "caption_folder"}}
    found = classes.resolved(cfg)
    given = found["model"]["spec"]["condition"]
    assert given == found["data"]["spec"]["condition"] and cfg["data"]["spec"]["condition"] == "caption"
    assert Condition(**{key: value for key, value in given.items() if key != "_target_"}) == Condition(
        "caption", 4, (2,), ("", "?", "red", "sea"), "pooled"
    )


# -- batches -----------------------------------------------------------------------------------------------------------


def test_training_draws_a_caption_and_validation_has_the_first() -> None:
    captions = torch.arange(40 * 3 * 2).view(40, 3, 2)
    split = Split(torch.arange(40)[:, None], torch.zeros(40, dtype=torch.int64), captions)
    for x, y in Batches(split, 8, condition=CAPTIONS):
        assert torch.equal(y, captions[x[:, 0], 0])
    assert all(not y.any() for _, y in Batches(split, 8))
    drawn = []
    for x, y in Batches(split, 40, shuffle=True, endless=False, condition=CAPTIONS):
        chosen = (y[:, 0] - 6 * x[:, 0]) // 2
        assert torch.equal(y, captions[x[:, 0], chosen])
        drawn.append(chosen)
    assert set(torch.cat(drawn).tolist()) == {0, 1, 2}
    again = [y for _, y in Batches(split, 8, shuffle=True, endless=False, condition=CAPTIONS)]
    later = [y for _, y in Batches(split, 8, shuffle=True, endless=False, condition=CAPTIONS, start=2)]
    assert torch.equal(again[2], later[0])  # as a resumed run


def test_ranks_share_a_batch_and_each_has_the_captions_of_its_pictures() -> None:
    captions = torch.arange(40 * 3 * 2).view(40, 3, 2)
    split = Split(torch.arange(40)[:, None], None, captions)
    options = {"shuffle": True, "endless": False, "condition": CAPTIONS, "world_size": 2}
    whole = [x for x, _ in Batches(split, 8, shuffle=True, endless=False, condition=CAPTIONS)]
    parts = [list(Batches(split, 8, rank=rank, **options)) for rank in range(2)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat([x for x, _ in shares]), torch.cat([batch[0::2], batch[1::2]]))
        chosen = [(y[:, 0] - 6 * x[:, 0]) // 2 for x, y in shares]
        for (x, y), number in zip(shares, chosen, strict=True):
            assert torch.equal(y, captions[x[:, 0], number])
        assert all(set(number.tolist()) <= {0, 1, 2} for number in chosen)


def test_rows_of_a_split_keep_captions() -> None:
    split = Split(torch.arange(5), None, torch.arange(5)[:, None, None])[torch.tensor([3, 1])]
    assert split.captions.flatten().tolist() == [3, 1] and split.given(CAPTIONS).flatten().tolist() == [3, 1]
    assert split.batch(None).y is None


# -- emoji -------------------------------------------------------------------------------------------------------------


def test_names_of_emoji_say_the_skin_tones() -> None:
    entry = {"name": "WOMAN FARMER", "short_name": "female-farmer"}
    assert captions_of(entry, "") == ["woman farmer", "female farmer"]
    assert captions_of(entry, "1F3FD")[0] == "woman farmer with medium skin tone"
    assert captions_of(entry, "1F3FB-1F3FF")[1] == "female farmer with light and dark skin tone"


def test_held_out_examples_have_only_words_of_others() -> None:
    texts = [["red sea"], ["red bus"], ["sea bus"], ["red", "sea"], ["bus sea red"], ["owl"], ["red owl"]]
    held_out = set(recombined(texts, 2).tolist())
    assert len(held_out) == 2 and not held_out & {5, 6}
    left = [text for row, each in enumerate(texts) if row not in held_out for text in each]
    for row in held_out:
        for word in split_words(" ".join(texts[row])):
            assert sum(word in split_words(text) for text in left) >= 2
    with pytest.raises(DataError, match="1 pictures are named with the words of others, 2 are needed"):
        recombined([["a"], ["a"], ["a"]], 2)


def test_real_emoji_recombine_learnt_words() -> None:
    if not (SHARED_DATA / "emoji").is_dir():
        pytest.skip("the emoji are not beside the checkout")
    data = Emoji(DataSpec((3, 32, 32), 256, 10), root=str(SHARED_DATA))
    data.setup()
    assert (data.train.size, data.val.size, data.test.size) == (3015, 376, 376)
    assert not (data.test.captions == 1).any() and not (data.val.captions == 1).any()
    for name in data.lists:
        x, asked = data.examples(name)
        checks = [prompt.check for prompt in asked]
        assert data.judge(x, checks).all() and not data.judge(x, checks[1:] + checks[:1])[:50].any()
        assert [prompt.task for prompt in data.prompts(name)] == ["people"] * 50 + ["things"] * 50
        assert all(prompt.check for prompt in data.prompts(name))
    noisy = (data.test.x.float() + 24 * torch.randn(data.test.x.shape)).clamp(0, 255)
    assert data.judge(noisy.to(torch.uint8), checks).double().mean() > 0.9
    seen = {row.numpy().tobytes() for row in data.train.x}
    assert not any(row.numpy().tobytes() in seen for row in data.test.x)
