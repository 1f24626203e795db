"""Writes captions of scenes at random: a sentence that is true, with synonyms.

A caption is bound to one split by a hash of its words, so that no caption of the test split is one of training.
"""

from functools import lru_cache

import numpy as np

from genarena.data.scenery import lexicon
from genarena.data.scenery.arrangement import relation
from genarena.data.scenery.binning import split_of
from genarena.data.scenery.lexicon import LENGTH
from genarena.data.scenery.sentences import SLOTS, Table, table
from genarena.data.scenery.things import COLOUR, COLOURS, SHAPE, SHAPES, SIZE, SIZES

SYNONYMS = 0.25  # share of the words that are the less common one
ROUNDS = 300  # sentences tried for a scene, until one is true and of its split


def write(
    objects: np.ndarray, sort: str, split: str | None, rng: np.random.Generator, task: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Captions of scenes (N, 4, 5) of a sort: tokens (N, length), and the task (N,) that each poses, "" where none was found.

    split: whose captions; None: any. task: only sentences that pose it.
    """
    known = table(sort)
    share = known.share * (known.tasks == task if task else 1.0)
    tokens, tasks = np.zeros((len(objects), LENGTH), int), np.full(len(objects), "", known.tasks.dtype)
    facts = _facts(objects)
    for _ in range(ROUNDS):
        open_ = (tasks == "").nonzero()[0]
        if not len(open_):
            break
        chosen = rng.choice(len(share), len(open_), p=share / share.sum())
        written = _filled(known.codes[chosen], objects[open_], rng)
        good = _true(known, chosen, [fact[open_] for fact in facts])
        if split is not None:
            good &= split_of(written) == split
        tokens[open_[good]], tasks[open_[good]] = written[good], known.tasks[chosen[good]]
    return tokens, tasks


def _facts(objects: np.ndarray) -> list[np.ndarray]:
    """Of each scene: number of objects, relation of the first two, whether they differ in size, whether all have one colour."""
    there = objects[:, :, SHAPE] >= 0
    one_colour = ((objects[:, :, COLOUR] == objects[:, :1, COLOUR]) | ~there).all(1)
    return [there.sum(1), relation(objects), objects[:, 0, SIZE] != objects[:, 1, SIZE], one_colour]


def _true(known: Table, chosen: np.ndarray, facts: list[np.ndarray]) -> np.ndarray:
    """Whether the chosen patterns are true of the scenes, bool (n,)."""
    number, lies, sizes_differ, one_colour = facts
    named, place = known.objects[chosen], known.relation[chosen]
    good = ((named == 0) | (named == number)) & ((place < 0) | (place == lies))
    return good & (sizes_differ | ~known.sized[chosen]) & (one_colour | ~known.coloured[chosen])


def _filled(codes: np.ndarray, objects: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The tokens (n, length) of patterns (n, length): each slot becomes a word for what the scene has, any of its synonyms."""
    tokens = codes.copy()
    rows, places = (codes < 0).nonzero()
    slots = -1 - codes[rows, places]
    columns = {"shape": SHAPE, "shapes": SHAPE, "colour": COLOUR, "size": SIZE}
    values = [objects[:, int(slot[-1]), columns[slot[:-1]]] for slot in SLOTS[:-1]]
    values.append((objects[:, :, SHAPE] >= 0).sum(1) - min(lexicon.NUMBER_WORDS))
    other = (rng.random(len(rows)) < SYNONYMS).astype(int)
    tokens[rows, places] = _words()[slots, np.stack(values, 1)[rows, slots], other]
    return tokens


@lru_cache
def _words() -> np.ndarray:
    """(slots, values, 2) tokens: the common and the less common word for a value in a slot of `SLOTS`."""
    tokens = {word: token for token, word in enumerate(lexicon.vocabulary().words)}
    tables = {
        "shape": [lexicon.SHAPE_WORDS[name] for name in SHAPES],
        "shapes": [lexicon.PLURALS[name] for name in SHAPES],
        "colour": [lexicon.COLOUR_WORDS[name] for name in COLOURS],
        "size": [lexicon.SIZE_WORDS[name] for name in SIZES],
        "number": list(lexicon.NUMBER_WORDS.values()),
    }
    found = np.zeros((len(SLOTS), max(map(len, tables.values())), 2), int)
    for slot, row in zip(SLOTS, found, strict=True):
        for value, words in enumerate(tables[slot.rstrip("0123")]):
            row[value] = tokens[words[0]], tokens[words[-1]]
    return found
