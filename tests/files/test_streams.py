"""A program goes on when whoever reads its output has gone away."""

import os
import subprocess
import sys

import pytest

WRITES = """
import os, sys
from genarena.files import streams
streams.unbreakable()
print("first", flush=True)
sys.stdin.readline()  # until the reader is gone
for _ in range(3):
    print("more", flush=True)
    print("more", file=sys.stderr)
subprocess_code = os.system("echo of a child")
open(sys.argv[1], "w").write(f"done {subprocess_code}")
"""


def test_a_pipe_that_nobody_reads_ends_nothing(tmp_path) -> None:
    command = [sys.executable, "-c", WRITES, str(tmp_path / "end")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, text=True, **pipes)
    assert process.stdout.readline() == "first\n"
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    assert process.wait() == 0
    assert (tmp_path / "end").read_text() == "done 0"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("action", ["print('numbers')", "print('numbers', flush=True)"])
def test_a_full_disk_is_one_line(action: str) -> None:
    code = f"from genarena import cli; cli.guard(lambda: {action})"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


def test_a_character_that_the_terminal_lacks_is_shown_as_its_code() -> None:
    code = "from genarena.files import streams; streams.unbreakable(); print('\\u2264')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True
    )
    assert done.stdout == b"\\u2264\n"
