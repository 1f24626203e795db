"""Which degradations, which algorithm; and one table, whichever task a degradation comes from."""

import pytest

from genarena.spec import DataSpec
from genarena.tasks.denoise import Denoise
from genarena.tasks.inpaint import Inpaint
from genarena.tasks.linear import degradations
from genarena.tasks.posterior.one_step import OneStep
from genarena.tasks.restoration import Restoration
from genarena.tasks.restore import Restore
from genarena.tasks.task_run import rules, title
from tests.tasks.world import World

GREY, COLOUR = DataSpec((1, 8, 8), 17), DataSpec((3, 32, 32), 256)


@pytest.mark.parametrize(
    ("other", "case"), [(Denoise(sigma=[0.1]), "denoise_0.1"), (Inpaint(operator="half"), "inpaint_half")]
)
def test_a_degradation_has_one_table(other: Restoration, case: str) -> None:
    task = Restore(degradations=[case])
    assert task.cases(GREY) == other.cases(GREY) == (case,)
    assert title(task, case) == title(other, case) == f"Restoration: {case}"
    assert rules(task, case, GREY) == rules(other, case, GREY)  # with the id; the folder is named by it
    assert rules(Restore(num_images=3), case, GREY)["id"] != rules(other, case, GREY)["id"]


def test_all_degradations_that_fit_or_those_asked_for() -> None:
    assert set(Restore().cases(COLOUR)) - set(Restore().cases(GREY)) >= {"colorize"}
    assert Restore().cases(COLOUR) == degradations.names(COLOUR)
    assert Restore(degradations=["sr4", "denoise_0.3"]).cases(GREY) == ("sr4", "denoise_0.3")
    with pytest.raises(ValueError, match="sr5: there is no such degradation; did you mean sr"):
        Restore(degradations=["sr5"])
    with pytest.raises(ValueError, match=r"denoise_1.5: expected denoise_<sigma>, with sigma above 0, at most 1"):
        Restore(degradations=["denoise_1.5"])
    with pytest.raises(ValueError, match="expected different names"):
        Restore(degradations=["sr2", "sr2"])
    with pytest.raises(ValueError, match="colorize: needs images with 3 channels"):
        Restore(degradations=["colorize"]).check(GREY)


def test_the_algorithm_takes_all_cases_and_is_named_where_it_does_not() -> None:
    world = World((1, 8, 8), "ar1")
    assert Restore().algorithm_for(world).name == "closed_form"
    one_step = Restore(degradations=["sr2", "denoise_0.1"], algorithm=OneStep())
    said = "algorithm=one_step: sr2: removes noise only: .*; of the degradations it takes denoise_0.1"
    with pytest.raises(ValueError, match=said):
        one_step.algorithm_for(world)
    assert Restore(degradations=["denoise_0.1"], algorithm=OneStep()).algorithm_for(world).name == "one_step"


def test_without_a_choice_an_algorithm_that_takes_all_cases_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    picky, other = Restoration.algorithms[:2]
    monkeypatch.setattr(picky, "refusal", lambda self, operator, sigma: "" if operator.known.all() else "needs a mask")
    world = World((1, 8, 8), "ar1")
    assert Restore(degradations=["denoise_0.1"]).algorithm_for(world).name == picky.name
    assert Restore(degradations=["denoise_0.1", "sr2"]).algorithm_for(world).name == other.name
