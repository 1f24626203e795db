"""Another sampler for a finished run: refused in one line, or a line of its own on the leaderboard."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from genarena import api, config
from genarena.errors import UserError
from genarena.evaluation import samplers
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from genarena.run import run
from genarena.runs import evaluations, past, results

LINE = [
    "model=ddpm",
    "data=digits",
    "budget=smoke",
    "callbacks.progress=false",
    "logger=none",
    "net.hidden_channels=8",
]


def resolved(*options: str) -> dict:
    line = [
        text for text in LINE if not (text.startswith(("model", "net")) and options and options[0].startswith("model="))
    ]
    return OmegaConf.to_container(config.compose([*line, *options]), resolve=True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"sampler": "langevin"},
            "does not fit model=ddpm; that takes ancestral, ancestral_1000, ancestral_full, annealed_langevin, "
            "annealed_langevin_full, ddim, dpm_solver, dpm_solver_3m, edm_heun, given_betas, heun, predictor_corrector, "
            "predictor_corrector_full, unipc",
        ),
        ({"sampler": "dddim"}, "did you mean ddim"),
        ({"sampler.steps": 3}, "sampler.steps: there is no such option"),
        ({"sampler.nfe": 0}, "sampler.nfe=0: expected at least 1"),
        ({"sampler": "dpm_solver", "sampler.nfe": 20}, "the run's own sampler"),
    ],
)
def test_what_cannot_be_is_refused(options: dict, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        samplers.chosen(resolved(), options)


@pytest.mark.parametrize("line", [["model=vae", "sampler=ddim"], ["model=ebm", "sampler=ddim"], ["sampler=langevin"]])
def test_a_sampler_that_does_not_fit_is_refused_before_training(line: list[str]) -> None:
    with pytest.raises(UserError, match="does not fit model="):
        samplers.check(resolved(*line))


@pytest.mark.parametrize("option", ["sampler.nfe=1001", "sampler.guidance=2"])
def test_what_the_model_cannot_do_is_refused_before_training(option: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=option):
        run(config.compose([*LINE, option, f"runs_dir={tmp_path / 'runs'}"]))
    assert not (tmp_path / "runs").exists()


def test_children_of_a_model_name_their_own_sampler() -> None:
    found = {name: resolved(f"model={name}")["choices"]["sampler"] for name in ("ddpm", "ddpm_linear", "ddpm_paper")}
    assert found == {"ddpm": "dpm_solver", "ddpm_linear": "ancestral", "ddpm_paper": "ancestral_full"}
    assert resolved("model=ddpm_linear", "sampler=ddim")["model"]["sampler"]["_target_"].endswith("DDIM")


def test_the_line_is_named_by_what_differs_from_the_model() -> None:
    own = resolved("sampler=ddim", "sampler.nfe=10")
    asked = {"sampler": "dpm_solver", "sampler.nfe": 10}, {"sampler.nfe": 5}, {"sampler": "dpm_solver"}
    assert [samplers.chosen(own, options).variant for options in asked] == [
        ("sampler.nfe=10",),
        ("sampler=ddim", "sampler.nfe=5"),
        (),
    ]


def test_a_sampler_is_part_of_a_runs_setting() -> None:
    assert past.fingerprint(resolved()) != past.fingerprint(resolved("sampler.nfe=10"))
    assert past.pinned(resolved()) != past.pinned(resolved("sampler=ddim"))


@pytest.mark.filterwarnings("ignore")
def test_a_run_scored_with_three_samplers_is_three_lines(tmp_path: Path) -> None:
    run(config.compose([*LINE, f"runs_dir={tmp_path}"]))
    (folder,) = tmp_path.glob("digits/ddpm/*")
    before = (folder / "result.json").read_bytes()
    for options in ({"sampler": "ddim", "sampler.nfe": 3}, {"sampler.order": 3}):
        row = api.rescore(folder, sampler=options)
        path = folder / evaluations.FOLDER / row["evaluation"] / "result.json"
        path.parent.mkdir(parents=True)
        results.write_row(row, path)
        assert (row["cost"]["nfe"], row["weights"]) == (
            options.get("sampler.nfe", 20),
            results.read_row(path)["weights"],
        )
    assert (folder / "result.json").read_bytes() == before
    runs, broken = find_runs(tmp_path)
    assert not broken and len({each.anchor for each in runs}) == 3
    (table,) = make_tables(runs)
    own = "net.hidden_channels=8"
    assert sorted(line.name for line in table.lines) == [
        f"ddpm {own}",
        f"ddpm {own} sampler.order=3",
        f"ddpm {own} sampler=ddim sampler.nfe=3",
    ]
    drawn = [api.sample(api.load(folder, sampler=options), 4) for options in (None, {"sampler": "ddim"}, None)]
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])
    row["cost"]["examples_seen"] += 1  # the run was extended since
    results.write_row(row, path)
    assert "other weights" in find_runs(tmp_path)[1][0]
