"""The files of conf/algorithm: named as their algorithm, with its options at their defaults."""

from dataclasses import MISSING, fields

import pytest
from omegaconf import OmegaConf

from genarena import config
from genarena.build import get_object
from genarena.tasks.posterior import every

EVERY = {each.name: each for each in (*every.ALGORITHMS, *every.OF_VECTORS)}


@pytest.mark.parametrize("name", EVERY)
def test_a_file_says_the_options_of_its_algorithm(name: str) -> None:
    node = OmegaConf.to_container(OmegaConf.load(config.file_of("algorithm", name)))
    assert get_object(node.pop("_target_")) is EVERY[name]
    assert node == {each.name: each.default for each in fields(EVERY[name]) if each.default is not MISSING}
