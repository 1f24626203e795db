"""Programs of `scripts/` run in this process, which has imported torch already: a process of its own takes seconds for that."""

import contextlib
import io
import runpy
import subprocess

import pytest

from genarena import config


def script(name: str, *arguments: str) -> subprocess.CompletedProcess:
    """The exit code of `scripts/<name>`, and what it wrote to stdout and stderr."""
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        patch.setattr("sys.argv", [name, *arguments])
        try:
            runpy.run_path(str(config.SOURCE / "scripts" / name), run_name="__main__")
        except SystemExit as ended:
            code = ended.code or 0
        else:
            code = 0
    return subprocess.CompletedProcess([name, *arguments], code, out.getvalue(), errors.getvalue())
