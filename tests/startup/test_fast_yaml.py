"""libyaml reads what PyYAML's own parser reads."""

import subprocess
import sys

import pytest
import yaml
from omegaconf import OmegaConf, _utils

from genarena.config import CONF

pytestmark = pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML is installed without libyaml")

TEXT = r"""
rates: [1e-3, 1.e-3, 3E4, 1_000, .5, -.inf, 0x1f, 010, 12:30, 2026-11-30, +7, 1e3]
names: [yes, no, on, true, null, ~, "yes", 'a ''b''', "\u03b2 \n", é, 🌍]
text: |
  two
    lines
folded: >-
  one
  line
nested: {a: {b: [1, {c: 2}]}, 3: three}
missing: ???
empty:
"""
BROKEN = ("a: 1\na: 2", "a: [1, 2", "a: 'b", "a: b: c", "a:\n\t- 1", "a: *b", "a: !!python/object/apply:os.getcwd []")
READS = """
import sys
from omegaconf import OmegaConf
for text in eval(sys.stdin.read()):
    try:
        print(repr(OmegaConf.to_container(OmegaConf.create(text))))
    except Exception as error:
        print(type(error).__name__)
"""


def read(text: str) -> str:
    try:
        return repr(OmegaConf.to_container(OmegaConf.create(text)))
    except Exception as error:
        return type(error).__name__


def test_a_text_is_what_omegaconf_reads_without_it() -> None:
    assert issubclass(_utils.get_yaml_loader(), yaml.CSafeLoader)
    assert not issubclass(yaml.SafeLoader, yaml.CSafeLoader)
    files = [CONF / name for name in ("train.yaml", "model/vae.yaml", "model/ddpm_paper.yaml", "trainer/ddp.yaml")]
    texts = [TEXT, *BROKEN, *(file.read_text() for file in files)]
    usual = subprocess.run([sys.executable, "-c", READS], input=repr(texts), capture_output=True, text=True, check=True)
    found = [read(text) for text in texts]
    assert found == usual.stdout.splitlines()
    assert found[1 : 1 + len(BROKEN)] == [each for each in found if each.endswith("Error")]
