"""Models of p(x | caption): every one that can be conditional reads captions, each picture under its own."""

import pytest
import torch
from torch import Tensor

from genarena.build import build
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.flow.density import NormalisingFlow
from genarena.spec import Batch
from tests.models.test_conditional import shaken
from tests.models.test_contract import CAPTIONED, images
from tests.models.tiny import tiny

SIZE, LENGTH = 7, 5
CAPTIONS = torch.tensor([[2, 3, 4, 5, 0], [5, 3, 4, 2, 0], [6, 1, 0, 0, 0], [2, 2, 3, 6, 4]])
CAPTION = {"_target_": "genarena.spec.Condition", "kind": "caption", "size": SIZE, "shape": [LENGTH]}
GUIDING = {"condition_dropout": 0.2}


def made(name: str, encoder: str = "words", **options: object) -> GenerativeModel:
    """A small model of 8x8 digits with captions of random words. options: those that the model has."""
    torch.manual_seed(0)
    node = tiny(name)
    for part in (node, node.get("prior", {})):  # a prior on codes has options of its own
        part |= {key: value for key, value in options.items() if key in part}
    node["spec"] = node["spec"] | {"condition": CAPTION | {"encoder": encoder}}
    model = build(node | ({"ais_steps": 5} if "ais_steps" in node else {}), "model")
    batch = Batch(images(model), CAPTIONS)
    with torch.no_grad():
        model.train().observe(batch)
        model.loss(batch)
    return shaken(model, 0.05)


def drawn(model: GenerativeModel, y: Tensor | None, num: int = 4) -> Tensor:
    torch.manual_seed(3)
    return model.sample(num, y)


@pytest.mark.parametrize("name", CAPTIONED)
def test_loss_reaches_every_weight_of_the_encoder(name: str) -> None:
    model = made(name).train()
    model.loss(Batch(images(model), CAPTIONS))["loss"].backward()
    words = list(model.conditioning.encoder.parameters())
    assert words and all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.any() for p in words)
    assert {id(p) for p in words} <= {id(p) for player in model.players() for p in player.owned}, "and is trained"


@torch.no_grad()
@pytest.mark.parametrize("name", CAPTIONED)
def test_a_picture_is_drawn_and_scored_under_its_own_caption(name: str) -> None:
    """Another caption of one example changes that example alone; padding and the batch change none."""
    model, other = made(name), CAPTIONS.clone()
    other[2] = CAPTIONS[3]
    if model.likelihood is not Likelihood.NONE and not isinstance(model, NormalisingFlow):
        x = images(model)
        scores = []
        for y in (CAPTIONS, other):
            torch.manual_seed(5)
            scores.append(model.log_prob(x, y))
        changed = (scores[0] - scores[1]).abs() > 1e-4 * scores[0].abs()
        assert changed.tolist() == [False, False, True, False]
    if model.likelihood is Likelihood.EXACT:
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(model.log_prob(x[order], CAPTIONS[order]), scores[0][order], rtol=1e-5, atol=1e-3)
    before, after = drawn(model, CAPTIONS), drawn(model, other)
    assert torch.equal(before[[0, 1, 3]], after[[0, 1, 3]])


@torch.no_grad()
@pytest.mark.parametrize("name", ["pixelcnn", "vae", "glow", "sngan"])
def test_pooled_captions_are_vectors(name: str) -> None:
    model = made(name, "pooled")
    assert model.context(CAPTIONS, 4).shape == (4, 128)
    assert drawn(model, CAPTIONS).shape == (4, 1, 8, 8)


@torch.no_grad()
@pytest.mark.parametrize("name", ["pixelcnn", "image_gpt", "made"])
def test_one_step_after_the_other_is_the_whole_pass(name: str) -> None:
    """The conditionals that sampling meets on the way to given pictures sum to their log-likelihood."""
    model, total = made(name), torch.zeros(4)
    x = images(model)

    def choose(distribution: object, *, channel: int, row: int, column: int) -> Tensor:
        level = x[:, channel, row, column]
        total.add_(distribution.log_prob(level.view(4, 1, 1, 1)).flatten())
        return level.float()

    assert torch.equal(model.unroll(4, choose, CAPTIONS), x.float())
    torch.testing.assert_close(total, model.log_prob(x, CAPTIONS), rtol=1e-4, atol=1e-3)
