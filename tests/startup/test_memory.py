"""Freed memory stays with the process, unless the user has said how much."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from genarena.startup import memory
print(memory.keep_freed())
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(16 * 2**20) for _ in range(10)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
@pytest.mark.parametrize("setting", [{}, {"MALLOC_TRIM_THRESHOLD_": "131072"}])
def test_the_pages_of_a_second_round_are_those_of_the_first(setting: dict[str, str]) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=plain | setting, check=True
    )
    kept, faults = done.stdout.split()
    assert kept == str(not setting)
    assert (int(faults) < 1000) == (not setting)  # 160 MB are 40,000 pages
