"""The identity of a line: what was resolved and not what was typed; code and precision count, seeds and paths do not."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from genarena.config import compose
from genarena.runs import line, provenance

CPU = {
    "strategy": None,
    "precision": "32-true",
    "compile": False,
    "channels_last": False,
    "world_size": 1,
    "threads": 2,
}
MINUTES = ["budget.minutes=1", "budget.examples=null"]


@cache
def composed(*options: str) -> dict[str, Any]:
    return OmegaConf.to_container(compose(["model=vae", "data=digits", "budget=smoke", *options]), resolve=True)


def resolved(*options: str) -> dict[str, Any]:
    return copy.deepcopy(composed(*options))


def identity(*options: str, **trained: Any) -> str:
    return line.of_run(resolved(*options), "digits-0", CPU | trained)["id"]


def test_what_changes_neither_training_nor_samples_is_the_same_line() -> None:
    same = [
        "seed=1",
        "data.root=/elsewhere",
        "runs_dir=/elsewhere",
        "callbacks.progress=false",
        "callbacks.grid_size=9",
    ]
    same += [
        "metrics=[recall]",
        "+metric.recall.k=7",
        "budget.num_samples=7",
        "budget.num_test=7",
    ]
    same += ["evaluation.sample_seed=7", "logger=none", "trainer.timeout=7"]
    typed = ["model.latent_dim=32", "model.beta=1"]  # what they are anyway: 32 and 1.0
    assert identity(*same, *typed) == identity()


@pytest.mark.parametrize(
    "other",
    [
        ["model.latent_dim=2"],
        ["model=vae_beta"],
        ["model.training.optimizer.lr=0.1"],
        ["model.training.ema_decay=null"],
        ["sampler.temperature=0.7"],
        ["sampler=mode"],
        ["data.condition=label"],
        ["data.batch_size=7"],
        ["callbacks.max_skips=3"],
        ["budget.examples=65"],
        ["budget.validations=1"],
    ],
)
def test_what_changes_training_or_samples_is_another_line(other: list[str]) -> None:
    assert identity(*other) != identity()


def test_the_yaml_counts_not_the_command_line() -> None:
    """An edited conf/model/vae.yaml gives the line that the same values on the command line give."""
    edited = resolved()
    edited["model"] |= {"latent_dim": 2, "hidden": 8}
    found = line.of_run(edited, "digits-0", CPU)
    assert found["id"] == identity("model.latent_dim=2", "model.hidden=8") != identity()
    assert (found["settings"]["model.latent_dim"], found["settings"]["data.id"]) == (2, "digits-0")


def test_precision_always_counts_and_the_machine_only_under_minutes() -> None:
    assert identity(precision="bf16-mixed") != identity()
    for key, value in {
        "world_size": 8,
        "threads": 1,
        "compile": True,
        "channels_last": True,
        "strategy": "ddp",
    }.items():
        assert identity(**{key: value}) == identity(), key
        assert identity(*MINUTES, **{key: value}) != identity(*MINUTES), key


def edited_source(monkeypatch: pytest.MonkeyPatch, module: str, edit: Callable[[bytes], bytes], folder: Path) -> None:
    genuine, copied = provenance._file, folder / "edited.py"
    copied.write_bytes(edit(genuine(module).read_bytes()))
    monkeypatch.setattr(provenance, "_file", lambda name: copied if name == module else genuine(name))


@pytest.mark.parametrize(
    "module", ["genarena.models.vae.vae", "genarena.models.vae.networks", "genarena.models.vae.latent_variable"]
)
def test_another_source_is_another_line(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = line.of_run(resolved(), "digits-0", CPU)
    edited_source(monkeypatch, module, lambda content: content + b"\nNEW = 1\n", tmp_path)
    after = line.of_run(resolved(), "digits-0", CPU)
    assert after["id"] != before["id"] and after["settings"] == before["settings"]
    assert {name for name in before["sources"] if before["sources"][name] != after["sources"][name]} == {module}


def test_another_sampler_for_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the line of a model that was trained with this sampler. Its source is that of today, that of the model stays."""
    trained, wanted = resolved("model=ddpm", "sampler=dpm_solver"), resolved("model=ddpm", "sampler=ddim")
    before, direct = (line.of_run(each, "digits-0", CPU) for each in (trained, wanted))
    assert line.with_sampler(before, wanted["sampler"]) == direct != before
    edited_source(monkeypatch, "genarena.nets.unet", lambda content: content + b"\n", tmp_path)
    assert line.with_sampler(before, wanted["sampler"]) == direct


def test_a_pair_is_the_line_of_its_first_model_whatever_its_seed_and_place() -> None:
    cfg = resolved()
    cfg["model"] = {"_target_": "genarena.models.vae.vae.VAE", "first_stage": {"sha256": "a", "model": cfg["model"]}}
    pairs = []
    for sha256, line_id in (("a", "1"), ("b", "1"), ("c", "2")):
        pair = copy.deepcopy(cfg)
        pair["model"]["first_stage"]["sha256"] = sha256
        pair["first_stage"] = {"line": "vae (64 examples)", "line_id": line_id, "path": sha256}
        pairs.append(line.of_run(pair, "digits-0", CPU)["id"])
    assert pairs[0] == pairs[1] != pairs[2]


def test_an_extended_run_is_a_line_of_its_own() -> None:
    earlier = [{"minutes": None, "examples": 32, "examples_seen": 32}]
    assert line.of_run(resolved() | {"extended": earlier}, "digits-0", CPU)["id"] != identity()
