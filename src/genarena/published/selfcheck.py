"""Checks of the evaluation's numbers, against closed forms and independent implementations.

Each check is a function that yields `Check` or `Missing`. It calls the functions that score models, on small data: all checks
together take about a minute. `scripts/selfcheck.py` prints the results.
"""

from collections.abc import Iterator
from pathlib import Path
from types import FunctionType as Function

import torch

from genarena.data.cifar10 import CIFAR10
from genarena.errors import DataError
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.weights import FeatureSettings
from genarena.published import (
    density_checks,
    latent_checks,
    likelihood_checks,
    quality_checks,
    sample_checks,
    sound_checks,
)
from genarena.published.checks import Check, Checks, Missing
from genarena.published.imported import ImportedReference, everything, score
from genarena.spec import DataSpec

CIFAR10_TRAIN_TEST_FID = 3.15  # 3.1508 by the official TensorFlow code; ports give 3.1457 to 3.1525
MODULES = (quality_checks, sample_checks, sound_checks, likelihood_checks, density_checks, latent_checks)
# Checks that need no arguments, weights or data files: all functions that say of which metrics they are.
OFFLINE: list[Checks] = [
    make
    for module in MODULES
    for make in vars(module).values()
    if hasattr(make, "metrics") and isinstance(make, Function)
]


def fid_of_cifar10(root: str, networks: FeatureSettings) -> Iterator[Check | Missing]:
    """FID of the 50,000 training images against the 10,000 test images."""
    title = f"FID of CIFAR-10, train against test ({CIFAR10_TRAIN_TEST_FID} +- 0.01)"
    folder = Path(root) / CIFAR10.inner
    if not folder.is_dir():
        yield Missing(title, f"needs CIFAR-10; there is no {folder} (GENARENA_DATA or data.root=)")
        return
    data = CIFAR10(DataSpec((3, 32, 32), 256, 10), root=root)
    try:
        data.setup()
    except DataError as error:
        yield Missing(title, f"needs CIFAR-10: {error}")
        return
    if data.part():
        yield Missing(title, f"needs all of CIFAR-10; {folder} has {data.part()}")
        return
    train = torch.cat([data.train.x, data.val.x])
    settings = EvaluationSettings(features=networks)
    reference = ImportedReference(data.test.x, data.spec)
    reference.setup()
    record = score(train, reference, ["fid"], settings, everything(train, reference))["fid"]
    if record["value"] is None:
        yield Missing(title, record["reason"])
    else:
        yield Check(title, record["value"], "3.1508 of the official code", CIFAR10_TRAIN_TEST_FID, 0.01)
