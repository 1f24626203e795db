"""Composition in a world where all is known: pictures of two halves, and a model that heeds its caption as much as guided."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.captions.prompted import Prompt, Prompted
from genarena.data.captions.vocabulary import Vocabulary
from genarena.spec import DataSpec
from genarena.tasks.abilities import target
from genarena.tasks.base import Outcome
from genarena.tasks.composing.floors import shuffled
from genarena.tasks.composing.scores import Asked, overall, scores
from genarena.tasks.composition import Composition
from genarena.tasks.guiding.strengths import ClassifierFree
from tests.tasks.obedient import Guided

LEVELS = 4
WORDS = Vocabulary.of(["left", "right", *map(str, range(LEVELS))], 4)
SPEC = DataSpec((1, 2, 2), LEVELS, condition=WORDS.condition())


def pictures(halves: Tensor) -> Tensor:
    """(N, 1, 2, 2) of the levels (N, 2) of the left and of the right half."""
    return halves[:, None, None, :].expand(-1, 1, 2, 2).to(torch.uint8).contiguous()


def drawn(num: int, seed: int) -> Tensor:
    return torch.randint(LEVELS, (num, 2), generator=torch.Generator().manual_seed(seed))


def said(left: int, right: int) -> str:
    return f"left {left} right {right}"


class Halves(Prompted):
    """Training has no picture with equal halves."""

    name = "two-halves"
    lists: ClassVar[tuple[str, ...]] = ("seen", "unseen")

    def vocabulary(self) -> Vocabulary:
        return WORDS

    def load(self) -> tuple[Split, Split, Split]:
        parts = []
        for seed, num in enumerate((600, 200, 200)):
            halves = drawn(4 * num, seed)
            parts.append(self.described(halves[halves[:, 0] != halves[:, 1]][:num]))
        return tuple(parts)

    def described(self, halves: Tensor) -> Split:
        return Split(pictures(halves), None, WORDS.table([[said(*pair)] for pair in halves.tolist()]))

    def prompts(self, name: str) -> list[Prompt]:
        if name == "unseen":
            return [Prompt("both", said(k, k), (k, k)) for k in range(LEVELS)] * 10
        left = [Prompt("left", f"left {k}", (k, None)) for k in range(LEVELS)] * 10
        both = [(a, b) for a in range(LEVELS) for b in range(LEVELS) if a != b] * 4
        return left + [Prompt("both", said(*pair), pair) for pair in both]

    def checks(self, captions: Tensor) -> list[Any]:
        return [tuple(int(word) for word in WORDS.decode(row).split()[1::2]) for row in captions]

    def judge(self, pictures: Tensor, checks: Sequence[Any], lenient: bool = False) -> Tensor:
        found = pictures[:, 0, 0].tolist()
        pairs = zip(found, checks, strict=True)
        return torch.tensor([lenient or all(c is None or c == f for f, c in zip(*pair, strict=True)) for pair in pairs])

    def unread(self, pictures: Tensor, lenient: bool = False) -> Tensor:
        return torch.zeros(len(pictures), dtype=torch.int64)

    def unseen(self) -> tuple[Tensor, Tensor]:
        split = self.described(torch.arange(LEVELS).repeat(20)[:, None].expand(-1, 2))
        return split.x, split.captions[:, 0]

    def examples(self, name: str) -> tuple[Tensor, list[Prompt]]:
        x, captions = self.unseen() if name == "unseen" else (self.test.x, self.test.captions[:, 0])
        both = [Prompt("both", WORDS.decode(row), self.checks(row[None])[0]) for row in captions]
        left = [Prompt("left", prompt.text, (prompt.check[0], None)) for prompt in both]
        return torch.cat([x, x]), both + left


class Obedient(Guided):
    """s = 0: captions do not matter. s = 1: the left half is right, the other at random. s = 2: all is right."""

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        halves = drawn(num_samples, int(torch.randint(10**6, ())))
        for row, text in enumerate(WORDS.decode(caption).split() for caption in y):
            known = [int(word) for word in text[1::2]][: int(self.sampler.guidance)]
            halves[row, : len(known)] = torch.tensor(known, dtype=torch.int64)
        return pictures(halves)


@pytest.fixture(scope="module")
def data() -> Halves:
    made = Halves(SPEC, condition="caption")
    made.setup()
    return made


def solved(data: Halves, case: str) -> Outcome:
    return Composition(strengths=[2, 0, 1], num_images=5).solve(Obedient(SPEC).eval(), ClassifierFree(), data, case)


@pytest.fixture(scope="module")
def seen(data: Halves) -> Outcome:
    return solved(data, "seen")


@pytest.fixture(scope="module")
def unseen(data: Halves) -> Outcome:
    return solved(data, "unseen")


def value(outcome: Outcome, name: str, line: str) -> float:
    return (outcome.lines | outcome.floors)[line].metrics[name]["value"]


def within(found: float, expected: float, num: int) -> bool:
    """3 standard deviations of a share."""
    return abs(found - expected) <= 3 * (expected * (1 - expected) / num) ** 0.5


def test_shares_are_those_of_the_world(seen: Outcome, unseen: Outcome) -> None:
    assert within(value(seen, "left", "s=0"), 1 / 4, 200) and within(value(seen, "both", "s=0"), 1 / 16, 240)
    assert value(seen, "left", "s=1") == 1.0 and within(value(seen, "both", "s=1"), 1 / 4, 240)
    assert value(seen, "overall", "s=2") == value(unseen, "overall", "s=2") == 1.0
    assert within(value(unseen, "both", "s=1"), 1 / 4, 200)
    for s in (0, 1, 2):
        both = (value(seen, "left", f"s={s}") + value(seen, "both", f"s={s}")) / 2
        assert value(seen, "overall", f"s={s}") == pytest.approx(both, abs=1e-12)
        assert value(seen, "overall_lenient", f"s={s}") == 1.0


def test_floors_are_those_of_the_world(seen: Outcome, unseen: Outcome) -> None:
    assert value(seen, "overall", "real") == value(unseen, "overall", "real") == 1.0
    assert within(value(seen, "both", "memoriser"), 1 / 2, 60)  # words alone do not say which half
    assert value(unseen, "overall", "memoriser") == 0.0
    assert value(unseen, "overall", "unconditional") == 0.0  # training has no such picture
    assert within(value(seen, "both", "unconditional"), 1 / 12, 240)
    assert within(value(seen, "both", "shuffled captions"), 1 / 12, 200)
    assert within(value(seen, "left", "shuffled captions"), 1 / 4, 200)


def test_the_strength_is_chosen_on_captions_of_validation(seen: Outcome) -> None:
    right = seen.facts["right_on_validation"]
    assert right["s=2"] == 1.0 and within(right["s=1"], 1 / 4, 200) and within(right["s=0"], 1 / 16, 200)
    assert seen.lines["s=2"].remark.startswith("best on validation captions: 1.000 of 200")
    assert all(line.remark == "" for name, line in seen.lines.items() if name != "s=2")


def test_the_interval_is_over_prompts() -> None:
    """Prompts of the first task are half right, those of the second all: variance of a mean of two means."""
    texts = ["a"] * 8 + ["b"] * 8 + ["size_attribution"] * 2
    asked = Asked([Prompt(task, f"{task} {row % 12}", None) for row, task in enumerate(texts)])
    shares = torch.tensor([0.0, 1.0] * 4 + [1.0] * 8 + [0.0] * 2, dtype=torch.float64)
    found = overall(asked, shares, "overall")
    assert found["value"] == 0.75 and (found["n"], found["counted"]) == (16, "prompts")
    from scipy.stats import t

    assert found["ci95_half_width"] == pytest.approx(t.ppf(0.975, 14) * (2 / 7 / 8) ** 0.5 / 2, rel=1e-9)


def test_prompts_that_repeat_are_counted(data: Halves) -> None:
    prompts = data.prompts("seen")[:1] * 3 + data.prompts("seen")[-1:]
    records = scores(data, Asked(prompts), data.test.x[:4])
    one, other = (records[prompt.task] for prompt in (prompts[0], prompts[-1]))
    assert (one["n"], one["counted"]) == (3, "prompts, 1 of them different")
    assert (other["n"], other["counted"]) == (1, "prompts")
    assert (records["overall"]["n"], records["overall"]["counted"]) == (4, "prompts, 2 of them different")


def test_shuffled_prompts_are_those_of_others_of_the_task() -> None:
    prompts = [Prompt("a", str(k), k) for k in range(5)] + [Prompt("b", "b", 9)]
    found = shuffled(prompts, 0)
    assert sorted(prompt.check for prompt in found[:5]) == list(range(5)) and found[5].check == 9
    assert all(prompt.check != k for k, prompt in enumerate(found[:5]))


def test_pictures_have_a_row_for_each_prompt(seen: Outcome) -> None:
    assert list(seen.pictures) == ["samples_s0.png", "samples_s1.png", "samples_s2.png", "guidance.png"]
    rows = seen.shown["samples_s2.png"].rows
    assert len(rows) == 10 and seen.pictures["samples_s2.png"].shape == (100, 1, 2, 2)
    levels = seen.pictures["samples_s2.png"][::10, 0, 0] // 85
    for text, (left, right) in zip(rows, levels.tolist(), strict=True):
        assert text in (f"left {left}", said(left, right))


def test_what_does_not_fit_is_refused_before_a_model_is_loaded() -> None:
    with pytest.raises(
        ValueError, match=r"needs a model that is conditional on captions .*trained without a condition"
    ):
        Composition().check(DataSpec((1, 2, 2), LEVELS))
    with pytest.raises(ValueError, match=r"trained with data.condition=label"):
        Composition().check(DataSpec((1, 2, 2), LEVELS, 3, condition="label"))
    for name in ("huggingface", "caption_folder", "digits"):
        with pytest.raises(ValueError, match=rf"^{name} has no judge of pictures and no lists of prompts"):
            Composition().examine(target("data", name))
    for name in ("scenes", "scenes_palette", "emoji"):
        Composition().examine(target("data", name))
    with pytest.raises(ValueError, match="lists=sene: .*; did you mean seen.; scenes has seen, unseen, concepts"):
        Composition(lists=["sene"]).examine(target("data", "scenes"))
    with pytest.raises(ValueError, match="lists=concepts: .*emoji has seen, unseen$"):
        Composition(lists=["seen", "concepts"]).examine(target("data", "emoji"))
