"""Emoji: 3,786 pictures of Google's Noto Emoji with their names, from the npm package `emoji-datasource-google` 16.0.0.

Many pictures of people come in five skin tones, as women and as men, so that names recombine: a small real set for pictures
from text. The package is MIT-licensed. The folder has `emoji.json`, and the pictures in `img`, or in `img/google/64` as in the
package: `npm pack emoji-datasource-google@16.0.0`, unpacked.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from genarena.data.batches import Split, seeded_generator
from genarena.data.captions.prompted import Prompt, Prompted
from genarena.data.captions.rows import tokenised
from genarena.data.captions.vocabulary import Vocabulary, split_words
from genarena.data.picture_set import Listing, PictureSet
from genarena.data.reading.pictures import Sources
from genarena.errors import DataError
from genarena.files.regular import read_regular
from genarena.options.values import Count

TONES = {
    "1F3FB": "light",
    "1F3FC": "medium-light",
    "1F3FD": "medium",
    "1F3FE": "medium-dark",
    "1F3FF": "dark",
}  # code point of the modifier -> its name in Unicode
CATEGORIES = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
    "Component",
)  # in Unicode's order; the labels
LISTS, TASKS = ("seen", "unseen"), ("people", "things")
PER_TASK = 50  # prompts
LENIENT, ROWS = 5, 500  # nearest pictures of the lenient judge; pictures judged at once
FOLDERS = ("img", "img/google/64")
MAX_BYTES = 2**26  # of the list
ELSEWHERE = 2  # training examples that have a word of a test caption too


class Emoji(PictureSet, Prompted):
    """RGB over a white background. Labels: the category, one of `CATEGORIES`. Captions: the name of the picture, with its skin
    tones, and its short name.

    The judge of a sample is its nearest picture of all, by squared differences of levels: right if that has the name asked
    for. Prompts `seen` are names of training pictures, `unseen` those of test pictures; the task `people` has those with a skin
    tone, which recombine, and `things` all others.

    Files with the same bytes are one example, with the captions of all: 3,767 examples. A tenth each is for validation and
    test, drawn with a fixed seed among those whose every word is in two other captions or more, which stay in training. So
    each word of a test caption was learnt, but not this combination.
    """

    name = "emoji"
    lists: ClassVar[tuple[str, ...]] = LISTS

    image_size: Count = 32

    def location(self) -> Path:
        return Path(self.root) / "emoji"

    def listings(self) -> tuple[Listing, Listing, Listing]:
        folder = self._folder()
        found: dict[str, tuple[str, int, list[str]]] = {}  # of the bytes -> first file, label, captions
        for file, label, captions in self._entries():
            if not (folder / file).is_file():
                raise DataError(f"{folder / file} is missing: emoji.json names it")
            content = hashlib.sha256(read_regular(folder / file, MAX_BYTES)).hexdigest()
            found.setdefault(content, (file, label, []))[2].extend(captions)
        files, labels, texts = zip(*found.values(), strict=True)
        whole = Listing(Sources(folder, list(files)), torch.tensor(labels), torch.arange(len(files)))
        held_out = recombined(texts, 2 * (len(texts) // 10))
        rest = torch.ones(len(texts), dtype=torch.bool)
        rest[held_out] = False
        parts = whole[rest.nonzero().flatten()], whole[held_out[0::2]], whole[held_out[1::2]]
        self._words, parts = tokenised(parts, texts)
        return parts

    def vocabulary(self) -> Vocabulary:
        self.listings()  # finds the captions
        return self._words

    def prompts(self, name: str) -> list[Prompt]:
        if name not in LISTS:
            raise ValueError(f"prompts {name!r}: expected one of {', '.join(LISTS)}")
        captions = (self.test if name == "unseen" else self.train).captions[:, 0]
        texts, checks = [self._words.decode(caption) for caption in captions], self.checks(captions)
        asked = [Prompt(_task(text), text, check) for text, check in zip(texts, checks, strict=True)]
        order = torch.randperm(len(asked), generator=seeded_generator("emoji", name)).tolist()
        return [prompt for task in TASKS for prompt in _first(asked, order, task)]

    def checks(self, captions: Tensor) -> list[frozenset[int]]:
        """The pictures, by their place among all, that have each caption (N, length)."""
        known: dict[tuple[int, ...], set[int]] = {}
        for place, rows in enumerate(row for split in self._splits() for row in split.captions.tolist()):
            for row in rows:
                known.setdefault(tuple(row), set()).add(place)
        return [frozenset(known.get(tuple(caption), ())) for caption in captions.tolist()]

    def judge(self, pictures: Tensor, checks: Sequence[frozenset[int]], lenient: bool = False) -> Tensor:
        """lenient: one of the `LENIENT` nearest pictures has the name."""
        every = torch.cat([split.x[:] for split in self._splits()]).flatten(1).float()
        nearest = [
            torch.cdist(rows, every).topk(LENIENT if lenient else 1, largest=False).indices
            for rows in pictures.flatten(1).float().split(ROWS)
        ]
        pairs = zip(torch.cat(nearest).tolist(), checks, strict=True)
        return torch.tensor([bool(check.intersection(found)) for found, check in pairs], dtype=torch.bool)

    def unread(self, pictures: Tensor, lenient: bool = False) -> Tensor:
        """Zeros: every picture has a nearest one."""
        return torch.zeros(len(pictures), dtype=torch.int64)

    def unseen(self) -> tuple[Tensor, Tensor]:
        return self.test.x[:], self.test.captions[:, 0]

    def examples(self, name: str) -> tuple[Tensor, list[Prompt]]:
        captions = self.test.captions[:, 0]
        texts, checks = [self._words.decode(caption) for caption in captions], self.checks(captions)
        return self.test.x[:], [Prompt(_task(text), text, check) for text, check in zip(texts, checks, strict=True)]

    def _splits(self) -> tuple[Split, Split, Split]:
        return self.train, self.val, self.test

    def _folder(self) -> Path:
        place = self.location()
        folder = next((place / each for each in reversed(FOLDERS) if (place / each).is_dir()), None)
        if folder is None or not (place / "emoji.json").is_file():
            raise DataError(
                f"emoji is not in {place}: run npm pack emoji-datasource-google@16.0.0, unpack it, and put its emoji.json and "
                f"img/google/64 there; data.root or GENARENA_DATA may name another root"
            )
        return folder

    def _entries(self) -> Iterator[tuple[str, int, list[str]]]:
        """File, label and captions of each picture. Raises DataError for another kind of list."""
        path = self.location() / "emoji.json"
        try:
            entries = json.loads(read_regular(path, MAX_BYTES))
            for entry in entries:
                label = CATEGORIES.index(entry["category"])
                yield entry["image"], label, captions_of(entry, "")
                for code, variation in entry.get("skin_variations", {}).items():
                    yield variation["image"], label, captions_of(entry, code)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is not the list of emoji-datasource-google 16.0.0: {error!r}") from error


def _task(text: str) -> str:
    return TASKS[0] if text.endswith("skin tone") else TASKS[1]


def _first(asked: Sequence[Prompt], order: Sequence[int], task: str) -> list[Prompt]:
    return [asked[place] for place in order if asked[place].task == task][:PER_TASK]


def recombined(texts: Sequence[Sequence[str]], num: int) -> Tensor:
    """(num,) examples in a random order, each word of which is in the captions of at least `ELSEWHERE` of all others. Raises
    DataError if there are too few."""
    words = [set(split_words(" ".join(captions))) for captions in texts]
    left, chosen = Counter(word for each in words for word in each), []
    for row in torch.randperm(len(texts), generator=seeded_generator("emoji", len(texts))).tolist():
        if len(chosen) < num and all(left[word] > ELSEWHERE for word in words[row]):
            left.subtract(words[row])
            chosen.append(row)
    if len(chosen) < num:
        raise DataError(f"emoji: {len(chosen)} pictures are named with the words of others, {num} are needed")
    return torch.tensor(chosen, dtype=torch.int64)


def captions_of(entry: dict[str, Any], code: str) -> list[str]:
    """The name, and the short name if it differs. code: of the skin tones, such as 1F3FB or 1F3FB-1F3FF; "" for none."""
    tones = [TONES[part] for part in code.split("-")] if code else []
    said = f" with {' and '.join(dict.fromkeys(tones))} skin tone" if tones else ""
    names = [entry["name"].lower(), entry["short_name"].replace("_", " ").replace("-", " ").lower()]
    return [f"{name}{said}" for name in dict.fromkeys(names)]
