"""Lists of prompts: the six tasks of GenEval (Ghosh, Hajishirzi & Schmidt 2023, arXiv 2310.11513), and by difficulty.

Differs from the paper: shapes in place of things in photographs, so that an oracle which is exact takes the place of a
detector; a task on sizes; and prompts of 1 to 6 concepts, after ConceptMix (Wu et al. 2024, arXiv 2408.14339).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from genarena.data.batches import seeded_generator
from genarena.data.captions.prompted import Prompt
from genarena.data.scenery.arrangement import arrange
from genarena.data.scenery.checks import Check
from genarena.data.scenery.grammar import parse
from genarena.data.scenery.lexicon import vocabulary
from genarena.data.scenery.things import seen_pairs
from genarena.data.scenery.writing import write

LISTS = ("seen", "unseen", "concepts")
PER_TASK = 50
TRIED = 1000  # scenes from which the prompts of a task are taken
SEEN = {  # task -> sort of scene
    "single": "one",
    "two": "two",
    "counting": "same",
    "colours": "one",
    "position": "two",
    "attribution": "two",
    "size_attribution": "two",
}
UNSEEN = {"counting": "same", "colours": "one", "position": "two", "attribution": "two"}
MOST_CONCEPTS = 6


def rng(*key: object) -> np.random.Generator:
    """A generator of numpy that is the same on every machine."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=seeded_generator(*key))))


@lru_cache
def prompts(name: str) -> tuple[Prompt, ...]:
    """50 prompts of each task of a list; they repeat where there are fewer texts. Raises ValueError for no such list.

    seen: of combinations that training shows, in captions that it does not. unseen: of (shape, colour) that no training scene
    has, and of four objects of one shape and colour. concepts: task `k=<number>`, of so many facts.
    """
    if name not in LISTS:
        raise ValueError(f"prompts {name!r}: expected one of {', '.join(LISTS)}")
    if name == "concepts":
        return tuple(prompt for k in range(1, MOST_CONCEPTS + 1) for prompt in _of_concepts(k))
    tasks = SEEN if name == "seen" else UNSEEN
    return tuple(prompt for task, sort in tasks.items() for prompt in _of_task(name, task, sort))


def _of_task(name: str, task: str, sort: str) -> list[Prompt]:
    unseen, draws = name == "unseen", rng("prompts", name, task)
    four = unseen and sort == "same"
    pairs = ~seen_pairs() if unseen and not four else seen_pairs()
    scenes = arrange(sort, TRIED, draws, pairs, (4,) if four else (2, 3, 4), four)
    tokens, found = write(scenes, sort, None if unseen else "test", draws, task)

    def fits(check: Check) -> bool:
        if task == "attribution" and len({each.colour for each in check.wanted}) < 2:
            return False
        return not unseen or bool(check.pairs)

    return _chosen(task, tokens[found != ""], fits)


def _of_concepts(number: int) -> list[Prompt]:
    return _chosen(f"k={number}", _any_captions(), lambda check: check.concepts == number)


@lru_cache
def _any_captions() -> np.ndarray:
    """(N, length) captions of the test split, of all sorts that name their objects one by one."""
    draws, rows = rng("prompts", "concepts"), []
    for sort in ("one", "two", "many"):
        tokens, found = write(arrange(sort, TRIED, draws, seen_pairs()), sort, "test", draws)
        rows.append(tokens[found != ""])
    return draws.permutation(np.concatenate(rows))


def _chosen(task: str, tokens: np.ndarray, fits: Callable[[Check], bool]) -> list[Prompt]:
    """The first 50 different texts that fit, again from the start where there are fewer."""
    words, found = vocabulary(), {}
    for row in torch.from_numpy(tokens):
        if len(found) == PER_TASK:
            break
        text = words.decode(row)
        if text not in found and fits(check := parse(text)):
            found[text] = Prompt(task, text, check)
    own = list(found.values())
    return [own[number % len(own)] for number in range(PER_TASK)]
