"""Check the numbers themselves against closed forms and independent implementations; exit code 0 when all holds."""

import sys
import time
from pathlib import Path

from genarena import cli
from genarena.errors import UserError
from genarena.options.script import FEATURES, Option, features
from genarena.options.values import Folder, from_environment

USAGE = """python scripts/selfcheck.py [data.root=<folder with cifar-10-batches-py>] [features.inception_weights=<file>]

The last check, FID of CIFAR-10 train against test, needs the data and torch-fidelity's Inception weights."""


def main() -> None:
    root = str(from_environment("GENARENA_DATA") or "data")
    options = cli.options({"data.root": Option(Folder, root), **FEATURES}, USAGE)

    if options["data.root"] != root and not Path(options["data.root"]).is_dir():
        raise UserError(f"data.root={options['data.root']}: there is no such folder")

    from genarena.evaluation.weights import FeatureSettings
    from genarena.published import selfcheck
    from genarena.published.checks import Check

    networks = FeatureSettings(**features(options))
    started, wrong, checked = time.perf_counter(), 0, 0
    cifar10 = [lambda: selfcheck.fid_of_cifar10(options["data.root"], networks)]
    for make in [*selfcheck.OFFLINE, *cifar10]:
        for check in make():
            print(check.text, flush=True)
            checked, wrong = checked + isinstance(check, Check), wrong + (not check.holds)
    print(f"{checked - wrong} of {checked} checks hold, {time.perf_counter() - started:.0f} s")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    cli.guard(main)
