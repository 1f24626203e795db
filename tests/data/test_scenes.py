"""Scenes: what training never shows, captions that are true, and a judge that is right about real and mutated scenes."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch

from genarena.build import build
from genarena.data.scenery.binning import in_order, split_of
from genarena.data.scenery.drawing import PALETTE, draw
from genarena.data.scenery.things import COLOUR, HELD_OUT, MOST, SHAPE, SIZE, X, Y, seen_pairs
from genarena.data.scenes import Scenes
from genarena.data.scenes_palette import ScenesPalette
from genarena.errors import DataError, UserError
from genarena.models.flow.realnvp import RealNVP
from genarena.runs import classes
from genarena.runs.past import fingerprint
from genarena.spec import DataSpec
from tests.data.test_contract import node

SPEC = DataSpec((3, 32, 32), 256)
PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    data = Scenes(SPEC, num_scenes=6000)
    data.setup()
    return data


def texts(data: Scenes, part: str) -> list[str]:
    return [data.vocabulary().decode(row) for row in getattr(data, part).captions[:, 0]]


def test_training_never_shows_what_is_held_out(scenes: Scenes) -> None:
    for part in PARTS:
        objects = scenes.objects[part]
        kinds = objects[:, :, [SHAPE, COLOUR]]
        for pair in HELD_OUT:
            assert not (kinds == torch.tensor(pair)).all(2).any()
        assert not ((kinds == kinds[:, :1]).all(2).all(1) & (objects[:, -1, SHAPE] >= 0)).any()
    pictures, captions = scenes.unseen()
    checks = scenes.checks(captions)
    assert scenes.judge(pictures, checks).all() and len(pictures) == len(checks) > 2500
    unseen = {("circle", "blue"), ("square", "purple"), ("triangle", "red"), ("cross", "white"), ("ring", "green")}
    assert unseen < {pair for check in checks for pair in check.pairs}


def test_no_caption_and_no_picture_of_the_test_is_one_of_training(scenes: Scenes) -> None:
    own = {part: set(texts(scenes, part)) for part in PARTS}
    assert not own["train"] & own["test"] and not own["train"] & own["val"] and not own["val"] & own["test"]
    for part in PARTS:
        assert set(split_of(getattr(scenes, part).captions[:, 0].numpy())) == {part}
        shown = in_order(scenes.objects[part].numpy())
        assert set(split_of(shown.reshape(len(shown), -1))) == {part}
        assert torch.equal(draw(shown), getattr(scenes, part).x)


def test_captions_and_labels_are_those_of_the_pictures(scenes: Scenes) -> None:
    for part in PARTS:
        split = getattr(scenes, part)
        assert scenes.judge(split.x[:500], scenes.checks(split.captions[:500, 0])).all()
        found = scenes.read(split.x[:200])
        first = [min(scene, key=lambda thing: (thing.x, thing.y)).shape for scene in found]
        assert [("circle", "square", "triangle", "cross", "ring")[y] for y in split.y[:200]] == first
    number = Scenes(SPEC, num_scenes=600, label="number")
    number.setup()
    assert number.test.y.tolist() == [len(scene) - 1 for scene in number.read(number.test.x)]
    single = Scenes(SPEC, num_scenes=600, single=True)
    single.setup()
    assert {len(scene) for scene in single.read(single.train.x[:100])} == {1}


def test_the_objects_of_a_cut_set_are_those_of_its_pictures() -> None:
    data = Scenes(SPEC, num_scenes=1000, max_train=30, only=2)
    data.setup()
    assert data.train.size == len(data.objects["train"]) == len(data.tasks["train"]) == 30
    assert data.facts["id"].startswith("scenes-class2-train30-")
    for part in PARTS:
        split = getattr(data, part)
        assert torch.equal(draw(data.objects[part].numpy()), split.x) and set(split.y.tolist()) == {2}
        assert data.judge(split.x, data.checks(split.captions[:, 0])).all()


@pytest.mark.slow
@pytest.mark.parametrize("lenient", [False, True])
def test_the_judge_is_right_about_2000_scenes_of_each_split(lenient: bool) -> None:
    data = Scenes(SPEC)
    data.setup()
    for part in PARTS:
        split = getattr(data, part)[:2000]
        assert data.judge(split.x, data.checks(split.captions[:, 0]), lenient).all()


def mutated(objects: np.ndarray, how: str) -> np.ndarray:
    """Scenes of two objects in which something that the caption says is not true any more."""
    changed = objects.copy()
    if how == "colours are swapped":
        changed[:, [0, 1], COLOUR] = objects[:, [1, 0], COLOUR]
    if how == "sizes are swapped, and moved to fit":
        changed[:, [0, 1], SIZE] = objects[:, [1, 0], SIZE]
        changed[:, :2, [X, Y]] = changed[:, :2, [X, Y]].clip(5, 26)
    if how == "places are swapped":
        changed[:, [0, 1], X], changed[:, [0, 1], Y] = objects[:, [1, 0], X], objects[:, [1, 0], Y]
        changed[:, :2, [X, Y]] = changed[:, :2, [X, Y]].clip(5, 26)
    if how == "one is dropped":
        changed[:, 1] = -1
    return changed


@pytest.mark.parametrize(
    ("task", "how"),
    [
        ("attribution", "colours are swapped"),
        ("size_attribution", "sizes are swapped, and moved to fit"),
        ("position", "places are swapped"),
        ("two", "one is dropped"),
        ("counting", "one is dropped"),
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_mutated_scenes_fail(scenes: Scenes, task: str, how: str, lenient: bool) -> None:
    chosen = torch.from_numpy(scenes.tasks["train"] == task)
    objects, captions = scenes.objects["train"][chosen][:200].numpy(), scenes.train.captions[chosen][:200, 0]
    if how == "colours are swapped":
        captions = captions[objects[:, 0, COLOUR] != objects[:, 1, COLOUR]]
        objects = objects[objects[:, 0, COLOUR] != objects[:, 1, COLOUR]]
    checks = scenes.checks(captions)
    assert len(checks) > 50 and scenes.judge(draw(objects), checks, lenient).all()
    assert not scenes.judge(draw(mutated(objects, how)), checks, lenient).any()


def test_captions_of_other_pictures_are_true_by_chance() -> None:
    """Scenes of one object: each of the 28 (shape, colour) is as likely, so "a red circle" fits 1 in 28 of other pictures."""
    data = Scenes(SPEC, num_scenes=9000, single=True)
    data.setup()
    allowed = seen_pairs().sum(1)
    chances = {"colours": 1 / allowed.sum(), "single": (allowed**2).sum() / allowed.sum() ** 2}
    found = data.checks(data.train.captions[:3000, 0])
    for task, chance in chances.items():
        own = [place for place, other in enumerate(data.tasks["train"][:3000]) if other == task]
        others = torch.arange(3000, 3000 + len(own))
        right = data.judge(data.train.x[others], [found[place] for place in own]).double()
        assert abs(right.mean() - chance) < 3 * (chance * (1 - chance) / len(own)) ** 0.5


def test_prompts_are_new_and_of_their_task(scenes: Scenes) -> None:
    for name in scenes.lists:
        prompts, tasks = scenes.prompts(name), defaultdict(list)
        for prompt in prompts:
            tasks[prompt.task].append(prompt)
        assert {len(own) for own in tasks.values()} == {50}
        tokens = scenes.encode([prompt.text for prompt in prompts])
        assert scenes.checks(tokens) == [prompt.check for prompt in prompts]
        if name != "unseen":
            assert set(split_of(tokens.numpy())) == {"test"}
        held_out = {("circle", "blue"), ("square", "purple"), ("triangle", "red"), ("cross", "white")}
        held_out |= {("ring", "green"), ("circle", "yellow"), ("square", "cyan")}
        for prompt in prompts:
            four = any(wanted.count == MOST and wanted.colour for wanted in prompt.check.wanted)
            assert (bool(prompt.check.pairs & held_out) or four) == (name == "unseen")
        if name == "concepts":
            assert [prompt.check.concepts for prompt in prompts] == [k for k in range(1, 7) for _ in range(50)]
    assert len(scenes.prompts("seen")) == 7 * 50 and len(scenes.prompts("unseen")) == 4 * 50
    with pytest.raises(ValueError, match="prompts 'some': expected one of seen, unseen, concepts"):
        scenes.prompts("some")


def test_captions_reach_the_model_and_are_no_part_of_the_data_id(scenes: Scenes) -> None:
    options = ["num_scenes=6000", "condition=caption"]
    data = node("scenes", *options)
    found = classes.resolved({"data": data, "model": {"spec": data["spec"]}, "choices": {"data": "scenes"}})
    spec = build(found["model"]["spec"], "model.spec")
    assert spec.condition == replace(scenes.vocabulary().condition(), encoder="words")
    given = build(found["data"], "data")
    given.setup()
    assert given.spec.condition == spec.condition
    assert given.facts == scenes.facts
    batch = given.test[:7].batch(spec.condition)
    assert torch.equal(batch.y, scenes.test.captions[:7, 0])


def test_a_run_of_captions_is_found_again_by_its_command_line() -> None:
    from omegaconf import OmegaConf

    from genarena.config import check, compose

    cfg = OmegaConf.to_container(compose(check(["model=ddpm", "data=scenes", "data.condition=caption"])), resolve=True)
    assert fingerprint(cfg) == fingerprint(classes.resolved(cfg))
    other = OmegaConf.to_container(compose(check(["model=ddpm", "data=scenes", "data.condition=label"])), resolve=True)
    assert fingerprint(cfg) != fingerprint(other)


def test_what_is_wrong_is_said_in_one_line(scenes: Scenes) -> None:
    with pytest.raises(DataError, match="scenes are \\(3, 32, 32\\) with 256 levels"):
        Scenes(DataSpec((3, 16, 16), 256))
    with pytest.raises(DataError, match="data.text=pooled: only models of captions read text"):
        Scenes(SPEC, text="pooled")
    with pytest.raises(UserError, match="data.condition=caption: there are no captions in data=digits"):
        classes.resolved({"data": node("digits", "condition=caption"), "model": {}, "choices": {"data": "digits"}})
    with pytest.raises(UserError, match="the data set has no word 'crimsn'; the nearest is"):
        scenes.encode(["a crimsn circle"])
    with pytest.raises(ValueError, match="argument 2 is longer|shorter"):
        scenes.judge(scenes.test.x[:2], scenes.checks(scenes.test.captions[:3, 0]))
    with pytest.raises(ValueError, match="the data set has to say which words there are"):
        RealNVP(DataSpec((3, 32, 32), 256, condition="caption"))


def test_symbols_of_a_palette_are_the_same_scenes(scenes: Scenes) -> None:
    spec = DataSpec((1, 32, 32), 8, palette=PALETTE.tolist())
    symbols = ScenesPalette(spec, num_scenes=6000)
    symbols.setup()
    for part in PARTS:
        own, other = getattr(symbols, part), getattr(scenes, part)
        assert own.x.dtype == torch.uint8 and torch.equal(own.captions, other.captions)
        assert torch.equal(spec.pictures(own.x), other.x)
    assert symbols.train.x.unique().tolist() == list(range(8))
    x, checks = symbols.test.x[:50], symbols.checks(symbols.test.captions[:50, 0])
    assert symbols.judge(x, checks).all() and not symbols.unread(x).any()
    assert symbols.judge(x.flip(0), checks).tolist() == scenes.judge(scenes.test.x[:50].flip(0), checks).tolist()
    assert torch.equal(spec.pictures(symbols.unseen()[0]), scenes.unseen()[0])


def test_a_palette_of_other_colours_is_refused() -> None:
    with pytest.raises(DataError, match="palette: expected"):
        ScenesPalette(DataSpec((1, 32, 32), 8, palette=PALETTE[::-1].tolist()))
    with pytest.raises(DataError, match=r"scenes_palette are \(1, 32, 32\) with 8 levels"):
        ScenesPalette(SPEC)
    with pytest.raises(ValueError, match="palette of 3 colours: expected images of one channel and so many levels"):
        DataSpec((1, 32, 32), 8, palette=PALETTE[:3].tolist())
