"""Which degradations, which algorithm; and one table, whichever task a degradation comes from."""

import pytest

from genarena.spec import DataSpec
from genarena.tasks import task_run
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


def test_each_case_has_its_algorithm_and_those_without_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    picky, other = Restoration.algorithms[:2]
    monkeypatch.setattr(picky, "refusal", lambda self, operator, sigma: "" if operator.known.all() else "needs a mask")
    world, task = World((1, 8, 8), "ar1"), Restore(degradations=["denoise_0.1", "sr2"])
    found, left_out = task_run._algorithms(task, world)
    assert {case: each.name for case, each in found.items()} == {"denoise_0.1": picky.name, "sr2": other.name}
    assert left_out == {}
    chosen, left_out = task_run._algorithms(Restore(degradations=["sr2", "denoise_0.1"], algorithm=OneStep()), world)
    assert list(chosen) == ["denoise_0.1"]
    assert list(left_out) == ["sr2"] and left_out["sr2"].startswith("algorithm=one_step: sr2: removes noise only")
    with pytest.raises(ValueError, match="algorithm=one_step: sr2: removes noise only"):
        task_run._algorithms(Restore(degradations=["sr2"], algorithm=OneStep()), world)
