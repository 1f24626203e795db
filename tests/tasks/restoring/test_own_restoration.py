"""What a picture of one's own shows: a label or a text, for models that are conditional on it."""

import pytest
import torch

from genarena.data.captions.vocabulary import Vocabulary
from genarena.errors import UserError
from genarena.models.gan.sngan import SNGAN
from genarena.spec import Condition, DataSpec
from genarena.tasks.restoring.own_restoration import condition

WORDS = Vocabulary.of(["a", "red", "circle"], 4)
SIZES = {"generator_channels": 4, "discriminator_channels": 4, "latent_dim": 4}


def model(given: Condition | None) -> SNGAN:
    return SNGAN(DataSpec((1, 8, 8), 256, condition=given), **SIZES)


def test_labels_and_texts_become_conditions() -> None:
    assert condition(model(None), None, 2) is None
    assert torch.equal(condition(model(Condition("label", 3)), 2, 2), torch.tensor([2, 2]))
    assert condition(model(WORDS.condition()), "red circle", 2).tolist() == [[3, 4, 0, 0]] * 2


@pytest.mark.parametrize(
    ("given", "asked", "said"),
    [
        (None, 3, "label=3: the model has no labels"),
        (None, "a circle", "text=a circle: the model has no captions"),
        (Condition("label", 3), 3, "label=3: the model has labels 0 to 2"),
        (Condition("label", 3), "a", "text=a: the model has labels 0 to 2"),
        (Condition("label", 3), None, "conditional on label: label=<number> is missing"),
        (WORDS.condition(), 1, "label=1: the model has no labels"),
        (WORDS.condition(), None, "conditional on caption: text=<what the picture shows> is missing"),
        (WORDS.condition(), "a blue circle", "the data set has no word 'blue'"),
        (Condition("attributes", 2), None, "conditional on attributes, which it cannot be given here"),
    ],
)
def test_what_the_model_does_not_know_is_refused(given: Condition | None, asked: int | str | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        condition(model(given), asked, 1)
