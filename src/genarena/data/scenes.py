"""Scenes of coloured shapes with captions whose meaning is exact, made from formulas. No download.

1 to 4 objects on a 32x32 picture: 5 shapes x 7 colours x 2 sizes. 7 of the 35 (shape, colour), and four objects of one shape
and colour, are never shown: how a model draws them says whether it can combine what it knows. The design follows CLEVR (Johnson
et al. 2017, arXiv 1612.06890), GenEval (Ghosh, Hajishirzi & Schmidt 2023, arXiv 2310.11513) and T2I-CompBench (Huang et al.
2023, arXiv 2307.06350); the judge is exact, as no detector is.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.captions.prompted import Prompt, Prompted
from genarena.data.captions.vocabulary import Vocabulary
from genarena.data.scenery import lexicon, oracle, prompting, things
from genarena.data.scenery.arrangement import SORTS, arrange
from genarena.data.scenery.binning import in_order, split_of
from genarena.data.scenery.checks import Check
from genarena.data.scenery.drawing import draw
from genarena.data.scenery.grammar import parse
from genarena.data.scenery.writing import write
from genarena.errors import DataError
from genarena.options.values import Count

SHARES = {"one": 0.35, "two": 0.45, "same": 0.1, "many": 0.1}
LABELS = {
    "shape": len(things.SHAPES),
    "colour": len(things.COLOURS),
    "size": len(things.SIZES),
    "number": things.MOST,
}  # number of values
NUM_UNSEEN = 3000


class Scenes(Prompted):
    """Pictures (3, 32, 32) of 256 levels.

    num_scenes: how many are made; about 85% are for training, 5% for validation, 10% for the test. A picture and a caption
        belong to a split by a hash: none of the test is one of training.
    label: the y of an unconditional or label-conditional set: shape, colour or size of the object that is leftmost (the upper
        one of two), or the number of objects.
    single: only scenes of one object.

    objects: per split (N, 4, 5) int64 (`genarena.data.scenery`), the object that the caption names first in front. tasks: per
    split, what each caption asks for. `unseen` has pictures of what training never shows.
    """

    name = "scenes"
    shape, num_levels = (3, things.SIDE, things.SIDE), 256
    lists: ClassVar[tuple[str, ...]] = prompting.LISTS

    num_scenes: Count = 60_000
    label: Literal["shape", "colour", "size", "number"] = "shape"
    single: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.spec.shape, self.spec.num_levels) != (self.shape, self.num_levels):
            raise DataError(
                f"{self.name} are {self.shape} with {self.num_levels} levels, and data.spec has {self.spec.shape} and "
                f"{self.spec.num_levels}"
            )
        self.spec = replace(self.spec, num_classes=LABELS[self.label])
        if self.condition == "caption":
            self.spec = replace(self.spec, condition=self.vocabulary().condition(self.text))
        self.objects: dict[str, Tensor] = {}
        self.tasks: dict[str, np.ndarray] = {}

    def vocabulary(self) -> Vocabulary:
        return lexicon.vocabulary()

    def load(self) -> tuple[Split, Split, Split]:
        parts: dict[str, list[tuple[np.ndarray, ...]]] = {"train": [], "val": [], "test": []}
        for sort in SORTS[:1] if self.single else SORTS:
            draws = prompting.rng("scenes", sort)
            share = 1.0 if self.single else SHARES[sort]
            scenes = arrange(sort, max(20, round(share * self.num_scenes)), draws, things.seen_pairs())
            split = split_of(in_order(scenes).reshape(len(scenes), -1))
            for name, found in parts.items():
                found.append(_described(scenes[split == name], sort, name, draws))
        return tuple(self._split(name, *map(np.concatenate, zip(*found, strict=True))) for name, found in parts.items())

    def _split(self, name: str, scenes: np.ndarray, captions: np.ndarray, tasks: np.ndarray) -> Split:
        order = prompting.rng("scenes", name).permutation(len(scenes))
        if not len(order):
            raise DataError(f"data.num_scenes={self.num_scenes}: no scene is left for {name}; expected at least 200")
        labels = torch.from_numpy(self._labels(scenes[order]))
        cut = self.cut(name, Split(torch.from_numpy(order), labels))
        kept = cut.x
        self.objects[name], self.tasks[name] = torch.from_numpy(scenes[kept]), tasks[kept]
        return Split(self.draw(scenes[kept]), cut.y, torch.from_numpy(captions[kept])[:, None])

    def draw(self, objects: np.ndarray) -> Tensor:
        """Scenes (N, 4, 5) to pictures (N, C, 32, 32) of levels."""
        return draw(objects)

    def _labels(self, scenes: np.ndarray) -> np.ndarray:
        if self.label == "number":
            return (scenes[:, :, things.SHAPE] >= 0).sum(1) - 1
        column = {"shape": things.SHAPE, "colour": things.COLOUR, "size": things.SIZE}[self.label]
        return in_order(scenes)[:, 0, column]

    def identity(self) -> dict[str, Any]:
        return {"label": self.label, "single": self.single, "words": self.vocabulary().digest}

    def unseen(self) -> tuple[Tensor, Tensor]:
        """Pictures (N, C, 32, 32) of what training never shows, and their captions (N, length)."""
        scenes, captions, _ = self._unseen()
        return self.draw(scenes), torch.from_numpy(captions)

    def examples(self, name: str) -> tuple[Tensor, list[Prompt]]:
        if name == "unseen":
            (pictures, captions), tasks = self.unseen(), self._unseen()[2]
        else:
            pictures, captions, tasks = self.test.x, self.test.captions[:, 0], self.tasks["test"]
        texts, checks = [self.vocabulary().decode(caption) for caption in captions], self.checks(captions)
        if name == "concepts":
            tasks = [f"k={check.concepts}" for check in checks]
        asked = {prompt.task for prompt in self.prompts(name)}
        rows = [row for row, task in enumerate(tasks) if task in asked]
        return pictures[rows], [Prompt(str(tasks[row]), texts[row], checks[row]) for row in rows]

    def _unseen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scenes, captions and tasks."""
        draws, found = prompting.rng("scenes", "unseen"), []
        for sort in ("one", "two", "same"):
            four = sort == "same"
            pairs = things.seen_pairs() if four else ~things.seen_pairs()
            scenes = arrange(sort, NUM_UNSEEN // 3, draws, pairs, (4,), four)
            found.append(_described(scenes, sort, None, draws))
        return tuple(map(np.concatenate, zip(*found, strict=True)))

    def prompts(self, name: str) -> list[Prompt]:
        return list(prompting.prompts(name))

    def checks(self, captions: Tensor) -> list[Check]:
        """What captions (N, length) of this set ask for."""
        return [parse(self.vocabulary().decode(caption)) for caption in captions]

    def read(self, pictures: Tensor, lenient: bool = False) -> list[list[things.Thing]]:
        """The objects that pictures (N, C, 32, 32) of levels show."""
        return oracle.read(self.spec.pictures(pictures), lenient).scenes

    def unread(self, pictures: Tensor, lenient: bool = False) -> Tensor:
        return torch.from_numpy(oracle.read(self.spec.pictures(pictures), lenient).unread)

    def judge(self, pictures: Tensor, checks: Sequence[Check], lenient: bool = False) -> Tensor:
        scenes = self.read(pictures, lenient)
        return torch.tensor([check.holds(scene) for scene, check in zip(scenes, checks, strict=True)], dtype=torch.bool)


def _described(
    scenes: np.ndarray, sort: str, split: str | None, draws: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scenes (N, 4, 5) of a sort with their captions and tasks; without those for which the split has no caption."""
    captions, tasks = write(scenes, sort, split, draws)
    kept = tasks != ""
    return scenes[kept], captions[kept], tasks[kept]
