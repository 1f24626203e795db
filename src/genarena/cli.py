"""Command lines: checked first, errors in one line, exit codes. No torch here."""

import os
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from genarena import config, metrics
from genarena.errors import ArenaError, UserError, printable
from genarena.files.atomic import check_writable
from genarena.jobs import launcher, local_jobs
from genarena.runs import interruption, stored_config
from genarena.runs.interruption import Interrupted
from genarena.startup import threads

HELP = """Train one generative model on one data set under one budget, evaluate it, write one leaderboard row.

  python train.py model=<m> data=<d> [budget=<b>] [seed=0] [option=value ...]
  python train.py -m model=vae,glow,ddpm data=digits seed=0,1,2      every combination
  python train.py model=vae data=digits --cfg job                    show the composed config
  python train.py sweep=<s> data=<d> [sweep.trials=N]                search for hyperparameters, chosen on validation
  python train.py experiment=<e>                                     a published setting
  python train.py resume=<run folder>                                go on where a run stopped
  python scripts/benchmark.py suite=<s>                              models x data x seeds, then the leaderboard

What there is to choose (group=option):

{groups}
metrics=[...]: {metrics}

Other options: seed, runs_dir, debug=true, and anything in the composed config, e.g. model.latent_dim=16,
budget.minutes=2, budget.examples=10000, trainer.precision=32-true, data.root=<folder>."""


def start(main: Callable[[], None]) -> None:
    """Run a Hydra main: refuse a bad command line with exit code 2 before anything is written."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach `guard` whole

    def checked() -> None:
        if {"--help", "-h"} & set(sys.argv):
            print(_help())
            return
        local_jobs.die_with_parent()
        if not {"--hydra-help", "--version"} & set(sys.argv):
            flags = _flags(sys.argv[1:])
            overrides = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
            overrides = config.check(expand_resume(_without_values(sys.argv[1:], overrides)))
            sweeps = [o for o in overrides if o.startswith("sweep=") and o not in ("sweep=null", "sweep=")]
            if sweeps and flags:
                raise UserError(f"{sweeps[0]}: goes without {flags[0]}")
            if sweeps:
                from genarena.search.sweep import sweep

                sys.exit(sweep(overrides))
            if flags and set(flags) <= {"-m", "--multirun"}:
                sys.exit(launcher.multirun(overrides))
            sys.argv[1:] = [*flags, *overrides]
        main()
        if _failures:
            raise _failures[0]

    guard(checked)


_failures: list[ArenaError] = []


def attempt(job: Callable[[Any], Any], cfg: Any) -> None:
    """Run one job of a command line; its failure is reported now and ends the process only when all jobs are done."""
    try:
        job(cfg)
    except ArenaError as error:
        if cfg.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr, flush=True)
        error.reported = True
        _failures.append(error)


def guard(action: Callable[[], Any]) -> None:
    """Call `action`; turn an exception into one line on stderr and the exit code of its kind."""
    threads.start()
    debug = "debug=true" in sys.argv
    try:
        with interruption.listening():
            action()
    except ArenaError as error:
        if debug:
            traceback.print_exc()
        if not getattr(error, "reported", False):
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a path that cannot be read or written, a full disk
        if debug or not error.strerror:
            raise
        where = f"{printable(error.filename)}: " if error.filename else ""
        print(f"error: {where}{error.strerror}", file=sys.stderr)
        sys.exit(UserError.exit_code)
    except (Interrupted, KeyboardInterrupt) as error:
        print(f"error: {error}" if isinstance(error, Interrupted) else "error: interrupted", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 130))


def _help() -> str:
    folders = [path.name for path in sorted(config.CONF.iterdir()) if path.is_dir() and path.name != "suite"]
    groups = [group for group in folders if config.available(group)]
    lines = [f"  {group + '=':12s}{' '.join(config.available(group))}" for group in groups]
    return HELP.format(
        groups="\n".join(f"{textwrap.fill(line, 110, subsequent_indent=' ' * 14)}\n" for line in lines),
        metrics=" ".join(metrics.names()),
    )


FEATURES = (
    "space",
    "inception_weights",
    "dinov2_weights",
    "clip_weights",
)  # of genarena.evaluation.weights.FeatureSettings
FEATURE_OPTIONS = {f"features.{name}": None for name in FEATURES}  # for a script's `defaults`


def features(options: dict[str, Any]) -> dict[str, str]:
    """The `features.*` options that were given, as fields of FeatureSettings."""
    return {name: str(options[f"features.{name}"]) for name in FEATURES if options[f"features.{name}"] is not None}


def options(
    defaults: dict[str, Any], usage: str, arguments: list[str] | None = None, out_is_folder: bool = False
) -> dict[str, Any]:
    """`key=value` arguments of a script, over `defaults`; a default `...` marks an option that must be given.

    arguments: those to look at, where a script keeps some for itself.
    Raises UserError for an unknown key, a value of another type than the default's, or an `out` that cannot be written.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(usage)
        sys.exit(0)
    given = {}
    for argument in sys.argv[1:] if arguments is None else arguments:
        if argument in ("debug=true", "debug=false"):  # for `guard`
            continue
        key, separator, value = argument.partition("=")
        if not separator or key not in defaults:
            hint = config.nearest(key, defaults)
            raise UserError(f"{argument}: expected one of {', '.join(f'{name}=...' for name in defaults)}{hint}")
        default = defaults[key]
        if not value and default is not None:
            raise UserError(f"{argument}: expected a value")
        try:
            given[key] = OmegaConf.to_container(OmegaConf.from_dotlist([f"v={value}"]))["v"] if value else None
        except (YAMLError, OmegaConfBaseException) as error:
            raise UserError(f"{argument}: is not a value that can be read, e.g. [a,b]") from error
        if isinstance(default, int) and not isinstance(given[key], int):
            raise UserError(f"{argument}: expected a whole number")
        if (isinstance(default, str) or default is ...) and given[key] is not None:
            given[key] = value
    missing = [key for key, default in defaults.items() if default is ... and given.get(key) is None]
    if missing:
        raise UserError(f"{', '.join(f'{key}=...' for key in missing)} is missing\n{usage}")
    chosen = defaults | given
    if chosen.get("out") is not None:
        check_writable(Path(chosen["out"]), out_is_folder)
    return chosen


def _flags(arguments: list[str]) -> list[str]:
    """Hydra's own flags, with their values."""
    kept = []
    for index, argument in enumerate(arguments):
        takes_value = index and arguments[index - 1] in ("--cfg", "-c", "--package", "-p", "--info", "-i")
        if argument.startswith("-") or (takes_value and "=" not in argument):
            kept.append(argument)
    return kept


def _without_values(arguments: list[str], overrides: list[str]) -> list[str]:
    flags = _flags(arguments)
    return [override for override in overrides if override not in flags]


def expand_resume(overrides: list[str]) -> list[str]:
    """With `resume=<folder>`, the overrides that run was started with come first; what is given again wins."""
    folders = [override.partition("=")[2] for override in overrides if override.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return overrides
    path = Path(folders[-1]) / "config.yaml"
    if not path.is_file():
        raise UserError(f"resume={folders[-1]}: there is no run (no config.yaml) in that folder")
    stored = stored_config.load(path)["choices"]["overrides"]
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    return [override for override in stored if override.lstrip("+").partition("=")[0] not in given] + overrides
