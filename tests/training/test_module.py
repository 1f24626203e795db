"""How a training is described, and what is refused before it begins."""

from functools import partial

import pytest

from genarena.build import build
from genarena.config import compose
from genarena.errors import UserError
from genarena.training import schedule
from genarena.training.module import Training


def test_a_schedule_with_an_option_that_it_does_not_know_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="decay"):
        Training(schedule=partial(schedule.constant, decay=0.5))
    node = compose(["model=vae", "data=digits", "+model.training.schedule.decay=0.5"]).model
    with pytest.raises(UserError, match="unexpected keyword argument 'decay'"):
        build(node, "model")


def test_a_constant_schedule_rises_first_where_it_is_told_to() -> None:
    assert [schedule.constant(progress) for progress in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]
    assert schedule.constant(0.0, warmup=0.1) < 0.01
    assert [schedule.constant(progress, warmup=0.1) for progress in (0.1, 1.0)] == [1.0, 1.0]
