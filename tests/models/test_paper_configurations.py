"""A `_paper` YAML writes every value itself: what it would inherit in silence may change with the small model of its family."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_object

from genarena.config import available, compose

CONF = Path(__file__).parents[2] / "conf"
FOLDER = CONF / "model"
PAPERS = [name for name in available("model") if name.endswith("_paper")]
FREE = {  # option -> why no paper fixes it
    "spec": "what the data is",
    "training": "its own options are checked",
    "sampler": "a node of its own, chosen after training too",
    "net": "a file of conf/net, which is checked as this one is",
    "condition_dropout": "does nothing without a condition",
    "backend": "of attention: the same numbers",
    "sample_chunk": "memory of sampling",
    "ais_chains": "how genarena estimates log Z, which no paper on energies of images does",
    "ais_steps": "as ais_chains",
    "accumulate": "memory of training: how a batch is split",
}
CONVOLUTIONS = {"channels", "blocks", "hidden", "patch", "strided"}  # not used beside `perceptron`
SIZES = {"channels", "blocks", "patch", "perceptron"}  # not used beside `strided`
GIVEN = {"in_channels", "out_channels", "shape", "context_features", "with_states", "num_times"}  # by the model
AVERAGES = {"ema_decay", "ema_half_life", "ema_ramp"}
OPTIMISER = ("lr", "betas", "weight_decay")


def written(name: str) -> dict[str, Any]:
    """What stands in the file of a model itself, without its `defaults`."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def options(target: str) -> set[str]:
    return set(inspect.signature(get_object(target)).parameters)


def silent(name: str) -> set[str]:
    """The options that a `_paper` YAML does not write and no reason frees."""
    own, node = written(name), compose([f"model={name}", "data=digits"]).model
    needed = options(node["_target_"]) - (CONVOLUTIONS if own.get("perceptron") else set())
    needed -= SIZES if own.get("strided") else set()
    found = {option for option in needed if option not in own}
    training = own.get("training", {})
    found |= {f"training.{option}" for option in options(node.training["_target_"]) if option not in training}
    if AVERAGES & set(training):  # one of them is enough, if the others are off
        found -= {f"training.{option}" for option in AVERAGES if node.training.get(option) is None}
    for owner, where in ((node.training, training), (node, own)):
        for key in set(owner) & {"optimizer", "discriminator_optimizer"}:
            known = options(owner[key]["_target_"])
            found |= {f"{key}.{option}" for option in OPTIMISER if option in known and option not in where.get(key, {})}
    schedule, known = training.get("schedule", {}), options(node.training.schedule["_target_"]) - {"progress"}
    found |= {f"schedule.{option}" for option in ("_target_", *known) if option not in schedule}
    return {option for option in found if option.removeprefix("training.") not in FREE}


@pytest.mark.parametrize("name", PAPERS)
def test_every_value_is_written_in_the_file_itself(name: str) -> None:
    assert silent(name) == set()


@pytest.mark.parametrize("name", PAPERS)
def test_its_network_is_a_file_of_its_own_that_writes_every_value(name: str) -> None:
    cfg = compose([f"model={name}", "data=digits"])
    if "net" not in cfg.model:
        pytest.skip("takes no network of conf/net")
    chosen = cfg.choices.net
    parent = next(part for part in written(name)["defaults"] if isinstance(part, str) and part != "_self_")
    assert chosen != compose([f"model={parent}", "data=digits"]).choices.net
    own = yaml.safe_load((CONF / "net" / f"{chosen}.yaml").read_text())
    assert options(cfg.net["_target_"]) - {*own, *FREE, *GIVEN} == set()


@pytest.mark.parametrize("name", PAPERS)
def test_the_file_says_whose_configuration_it_is_and_what_differs(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    head = " ".join(line for line in lines[:7] if line.startswith("#"))
    assert "Differs" in head or "differs" in head
    assert len(lines) <= 30
    assert any(str(year) in head for year in range(2008, 2027)) or "github.com" in head
