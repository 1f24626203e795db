"""How a training is described, and what is refused before it begins."""

from functools import partial
from pathlib import Path

import pytest
import torch

from genarena.build import build
from genarena.config import compose
from genarena.errors import UserError
from genarena.models.base import GenerativeModel
from genarena.spec import Batch
from genarena.training import schedule
from genarena.training.callbacks.budget import Budget
from genarena.training.module import Training
from tests.training.callbacks.toy import SPEC, Mean, fit


def test_a_schedule_with_an_option_that_it_does_not_know_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="decay"):
        Training(schedule=partial(schedule.constant, decay=0.5))
    node = compose(["model=vae", "data=digits", "+model.training.schedule.decay=0.5"]).model
    with pytest.raises(UserError, match="schedule.decay: warmup_cosine has no such option"):
        build(node, "model")


def test_a_linear_schedule_falls_from_the_end_of_its_rise_to_zero() -> None:
    assert [schedule.linear(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == [1.0, 0.75, 0.5, 0.0]
    assert schedule.linear(0.0, warmup=0.2) < 0.01
    assert [schedule.linear(progress, warmup=0.2) for progress in (0.2, 0.6, 1.0)] == pytest.approx([1.0, 0.5, 0.0])


def test_the_staircase_of_burda_et_al_is_that_of_their_passes() -> None:
    passes = [3**stage for stage in range(8)]
    assert sum(passes) == 3280
    for stage, length in enumerate(passes):  # the first and the last pass of each stage
        for index in (sum(passes[:stage]), sum(passes[:stage]) + length - 1):
            assert schedule.staircase((index + 0.5) / 3280) == pytest.approx(10 ** (-stage / 7))
    assert schedule.staircase(1.0) == pytest.approx(0.1)
    assert schedule.staircase(0.7, stages=1) == 1.0
    assert schedule.staircase(0.0, warmup=0.1) < 0.02


def test_a_constant_schedule_rises_first_where_it_is_told_to() -> None:
    assert [schedule.constant(progress) for progress in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]
    assert schedule.constant(0.0, warmup=0.1) < 0.01
    assert [schedule.constant(progress, warmup=0.1) for progress in (0.1, 1.0)] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        (torch.tensor(1.0), "a Tensor"),
        ({"nll": torch.tensor(1.0)}, "a dict of nll"),
        ({}, "a dict of nothing"),
        ({"loss": torch.zeros(3)}, r"\{'loss': \(3,\)\}"),
        ({"loss": torch.tensor(1.0), "kl": 0.5}, r"\{'loss': \(\), 'kl': 0.5\}"),
    ],
)
def test_a_loss_that_is_no_dict_of_scalars_is_named(terms: object, found: str, tmp_path: Path) -> None:
    class Wrong(Mean):
        def loss(self, batch: Batch) -> object:
            return terms

    with pytest.raises(TypeError, match=rf"Wrong\.loss gave .*{found}.*expected a dict of scalar tensors"):
        fit(Wrong(), [Budget(None, 16)], tmp_path)


def test_a_model_that_does_not_name_its_facts_is_refused() -> None:
    class Nameless(GenerativeModel):
        family = "toy"
        loss = sample = None

    with pytest.raises(TypeError, match="the class Nameless has no likelihood and no paper"):
        Nameless(SPEC)
