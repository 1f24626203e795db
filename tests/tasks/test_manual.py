"""What `--help` says of tasks and algorithms: options, models, exactness, and what is lacking."""

import pytest

from genarena import config
from genarena.errors import UserError
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.baseline.uniform import Uniform
from genarena.models.diffusion.ddpm import DDPM
from genarena.tasks import abilities, manual
from genarena.tasks.inpaint import Inpaint
from genarena.tasks.posterior.closed_form import ClosedForm
from genarena.tasks.posterior.mmps import MMPS


@pytest.mark.parametrize("name", config.available("task"))
def test_every_task_has_its_page(name: str) -> None:
    text = manual.of_task(name)
    assert text.startswith(f"task={name}: ") and "Algorithms, in the order of preference" in text
    assert max(map(len, text.splitlines())) <= 200 and "Something" not in text
    assert f"\npython scripts/task.py task={name} run=" in text and " a name or null " in text


@pytest.mark.parametrize("name", config.available("algorithm"))
def test_every_algorithm_has_its_page(name: str) -> None:
    text = manual.of_algorithm(name)
    assert text.startswith(f"algorithm={name}: ") and "\nModels that fit (" in text


def test_what_models_can_do() -> None:
    able, unable = manual.of_task("inpaint").split("Models that cannot")
    assert "operator=center  center, half or random" in able and "num_images=200   int, at least 1" in able
    lines = able.splitlines()
    (first,) = [number for number, line in enumerate(lines) if "ddpm, ddpm_linear, ddpm_paper" in line]
    assert lines[first].split()[0] == "diffusion" and "mmps (heuristic)," in lines[first]
    assert "split_gibbs (asymptotic)" in lines[first + 1], "a row of two lines"
    assert "mmps: heuristic, arXiv 2405.13712; needs a model that Denoises" in able
    (line,) = [line for line in able.splitlines() if line.split()[:2] == ["baseline", "gaussian"]]
    assert "closed_form (exact)" in line
    assert "none of them Correlates or" in unable.splitlines()[0] and "uniform" in unable


def test_variants_of_a_file_have_its_class() -> None:
    found = {name: each for each in abilities.abilities([MMPS, ClosedForm]) for name in each.names}
    assert set(found) == set(config.available("model"))
    assert found["ddpm_paper"].model is DDPM and found["ddpm_paper"].algorithms == (MMPS,)
    assert found["gaussian"].algorithms == (ClosedForm,) and found["uniform"].algorithms == ()


def test_a_class_is_refused_by_the_algorithm_asked_for() -> None:
    assert Inpaint().refusal(DDPM) == "" == Inpaint().refusal(Gaussian)
    assert Inpaint(algorithm=MMPS()).refusal(Gaussian) == (
        "Gaussian cannot do this task, which needs a model that Denoises"
    )
    assert Inpaint().refusal(Uniform).startswith("Uniform cannot do this task, which needs a model that Corr")


@pytest.mark.parametrize(
    ("page", "name", "said"),
    [(manual.of_task, "denose", "did you mean denoise?"), (manual.of_algorithm, "mmp", "did you mean mmps?")],
)
def test_unknown_names(page, name: str, said: str) -> None:
    with pytest.raises(UserError, match="there is no such") as told:
        page(name)
    assert said in str(told.value)
