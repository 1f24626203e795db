"""Command lines: checked first; errors in one line, with exit codes. Imports no torch."""

import os
import runpy
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from genarena import config, metrics, plugins
from genarena.errors import ArenaError, UserError, printable
from genarena.files import cache, streams
from genarena.files.atomic import check_writable
from genarena.jobs import launcher, local_jobs
from genarena.options import words
from genarena.options.overrides import OF_THE_LINE, key_of, path_in
from genarena.options.script import Option, read
from genarena.runs import interruption, stored_config
from genarena.runs.interruption import Interrupted
from genarena.startup import memory, threads

HELP = """Train one generative model on one data set under one budget, evaluate it, write one leaderboard row.

  python train.py model=<m> data=<d> [budget=<b>] [seed=0] [option=value ...]
  python train.py -m model=vae,glow,ddpm data=digits seed=0,1,2      every combination
  python train.py model=vae data=digits --cfg job                    show the composed config
  python train.py sweep=<s> data=<d> [sweep.trials=N]                search for hyperparameters, chosen on validation
  python train.py experiment=<e>                                     a published setting
  python train.py resume=<run folder>                                go on where a run stopped
  python scripts/benchmark.py suite=<s>                              models x data x seeds, then the leaderboard
  python scripts/task.py task=<t> run=<run folder>                   an application of a finished run

What there is to choose (group=option):

{groups}
metrics=[...]: {metrics}

Options of evidence are those of all metrics that use it; metric.<name>.<option>=<value> sets one for a single metric:

{options}

Other options: seed, runs_dir, debug=true, and anything in the composed config, e.g. model.latent_dim=16,
budget.minutes=2, budget.examples=10000, trainer.precision=32-true, data.root=<folder>."""


def door() -> None:
    """`genarena <program> [<option>=<value> ...]`: train.py and the programs of `scripts/`, for an installed package."""
    folder = config.SOURCE / "scripts"
    known = sorted(path.stem for path in folder.glob("*.py") if path.stem != "bench")
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name not in known:
        usage = (
            f"genarena <program> [<option>=<value> ...] with one of {', '.join(known)}; --help after its name says more"
        )
        wrong = name not in ("-h", "--help")
        hint = f"error: {name}: there is no such program{config.nearest(name, known)}; " if wrong else ""
        print(f"{hint}{usage}", file=sys.stderr if wrong else sys.stdout)
        sys.exit(2 if wrong else 0)
    sys.argv[:2] = [str(folder / f"{name}.py")]
    runpy.run_path(sys.argv[0], run_name="__main__")


def start(main: Callable[[], None]) -> None:
    """Run a Hydra main: refuse a bad command line with exit code 2 before anything is written."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach `guard` unchanged
    guard(lambda: _checked(main))


def _checked(main: Callable[[], None]) -> None:
    if {"--help", "-h"} & set(sys.argv):
        print(_help())
        return
    local_jobs.die_with_parent()
    if not {"--hydra-help", "--version"} & set(sys.argv):
        flags, given = words.split(sys.argv[1:], config.groups())
        many = "--multirun" in flags
        overrides = config.check(expand_resume(given), single=not many)
        sweeps = [text for text in overrides if text.startswith("sweep=") and text != "sweep=null"]
        if sweeps and flags:
            raise UserError(f"{sweeps[0]}: goes without {flags[0]}")
        if sweeps:
            from genarena.search.sweep import sweep

            sys.exit(sweep(overrides))
        if many:
            sys.exit(launcher.multirun(overrides))
        sys.argv[1:] = [*flags, *overrides]
    main()
    if _failures:
        raise _failures[0]


_failures: list[ArenaError] = []


def attempt(job: Callable[[Any], Any], cfg: Any) -> None:
    """Run one job of a command line. A failure is printed now; the process ends with it after all jobs are done."""
    try:
        job(cfg)
    except (ArenaError, OSError) as caught:
        error = _of_the_system(caught) if isinstance(caught, OSError) else caught
        if cfg.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr, flush=True)
        error.reported = True
        _failures.append(error)


def guard(action: Callable[[], Any]) -> None:
    """Call `action`; turn an exception into one line on stderr and the exit code of its class."""
    memory.keep_freed()
    threads.start()
    streams.unbreakable()
    debug = "debug=true" in sys.argv
    try:
        with interruption.listening():
            _take_config_dir()
            action()
            sys.stdout.flush()  # a full disk is said in one line, as any other error of the system
    except ArenaError as error:
        if debug:
            traceback.print_exc()
        if not getattr(error, "reported", False):
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {_of_the_system(error)}", file=sys.stderr)
        sys.exit(UserError.exit_code)
    except (Interrupted, KeyboardInterrupt) as error:
        print(f"error: {error}" if isinstance(error, Interrupted) else "error: interrupted", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 130))


def _of_the_system(error: OSError) -> UserError:
    """An error of the system, such as a path that cannot be written, in one line. Raises it again if it has no text."""
    if not error.strerror:
        raise error
    place = f"{printable(error.filename)}: " if error.filename else ""
    return UserError(f"{place}{error.strerror}{cache.advice(error.filename)}")


def _take_config_dir() -> None:
    """Remove `--config-dir <folder>` from the command line of any program, and declare it to `plugins`."""
    for index, argument in enumerate(sys.argv):
        flag, separator, folder = argument.partition("=")
        if flag in ("--config-dir", "-cd"):
            following = sys.argv[index + 1 : index + 2]
            plugins.declare(folder if separator else "".join(following))
            del sys.argv[index : index + (1 if separator else 2)]
            return


def _help() -> str:
    groups = [
        group for group in config.groups() if group not in ("suite", "task", "algorithm") and config.available(group)
    ]
    lines = [f"  {group + '=':12s}{' '.join(config.available(group))}" for group in groups]
    return HELP.format(
        groups="\n".join(f"{textwrap.fill(line, 110, subsequent_indent=' ' * 14)}\n" for line in lines),
        metrics=textwrap.fill(" ".join(metrics.names()), 110, subsequent_indent=" " * 4),
        options="\n".join(f"  {text}" for text in _options_of_metrics()),
    )


def _options_of_metrics() -> list[str]:
    """`evidence.<kind>.{<option>,...}` and `metric.<name>.{<option>,...}`, each option once."""
    found: dict[str, list[str]] = {}
    for key in metrics.own_options():
        owner, _, option = key.rpartition(".")
        found.setdefault(owner, []).append(option)
    return [f"{owner}.{own[0] if len(own) == 1 else '{' + ','.join(own) + '}'}" for owner, own in found.items()]


def options(
    known: Mapping[str, Option],
    usage: str,
    arguments: list[str] | None = None,
    out_is_folder: bool = False,
    beside: Iterable[str] = (),
) -> dict[str, Any]:
    """The options of a script from its command line; `--help` prints `usage` and ends the process.

    arguments: the arguments to read, if not all of sys.argv. beside: names of the options that are read elsewhere.
    Raises UserError for options as `script.read` does, and for an `out` that cannot be written.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(usage)
        sys.exit(0)
    given = sys.argv[1:] if arguments is None else arguments
    chosen = read(
        [text for text in given if text not in ("debug=true", "debug=false")], known, beside
    )  # debug is for `guard`
    if chosen.get("out") is not None:
        check_writable(Path(chosen["out"]), out_is_folder)
    return chosen


def of_metrics(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The values of `evidence.<kind>.<option>=<value>` and `metric.<name>.<option>=<value>`, and all other arguments. Raises
    UserError."""
    given = [text for text in arguments if text.startswith(("evidence.", "metric."))]
    kinds = {key: Option(metrics.check_option(key)) for key in map(key_of, given)}
    return read(given, kinds), [text for text in arguments if text not in given]


def expand_resume(overrides: list[str]) -> list[str]:
    """With `resume=<folder>`, put that run's own overrides first, except those that are given again."""
    given = [text for text in overrides if text.startswith("resume=")]
    if not given:
        return overrides
    path = Path(path_in(given[-1], OF_THE_LINE["resume"])) / "config.yaml"
    if not path.is_file():
        raise UserError(f"{given[-1]}: there is no run (no config.yaml) in that folder")
    for text in (text for text in overrides if key_of(text) == "runs_dir"):
        if not path.resolve().is_relative_to(Path(path_in(text, OF_THE_LINE["runs_dir"])).resolve()):
            raise UserError(f"{text}: {given[-1]} goes on in its own folder, which is not in there; leave it out")
    stored = stored_config.load(path)["choices"]["overrides"]
    keys = {key_of(text) for text in overrides}
    return [text for text in stored if key_of(text) not in keys] + overrides
