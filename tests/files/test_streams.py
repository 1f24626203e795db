"""A program goes on when whoever reads its output has gone away."""

import os
import subprocess
import sys

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


def test_a_character_that_the_terminal_lacks_is_shown_as_its_code() -> None:
    code = "from genarena.files import streams; streams.unbreakable(); print('\\u2264')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True
    )
    assert done.stdout == b"\\u2264\n"
