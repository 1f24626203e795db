"""Speed of the evaluation against the packages that publish the same numbers: `prdc` and torch-fidelity.

CPU seconds of one thread, both in this process one after the other, the better of two rounds. Each line says whether the
numbers agree. The features are drawn at random.
"""

import contextlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from genarena.evaluation.backbones import InceptionFeatures
from genarena.evaluation.weights import FeatureSettings
from genarena.files.progress import Bars
from genarena.spec import DataSpec
from genarena.statistics.frechet import frechet_distance, gaussian_statistics
from genarena.statistics.kernel import cubic, two_sample
from genarena.statistics.manifolds import Manifolds

ROUNDS = 2
SIZES = ((3_000, 2_048), (10_000, 64))  # examples, features


def neighbours(sizes: tuple[tuple[int, int], ...] = SIZES) -> str:
    """Precision, recall, density and coverage, which `prdc` computes for one k, and we for k = 3 and 5 together."""
    return "\n".join(_neighbours(num, features) for num, features in sizes)


def _neighbours(num: int, features: int) -> str:
    import prdc

    real, fake = _drawn(num, features, 0), 1.02 * _drawn(num, features, 1)

    def ours() -> list[float]:
        manifolds = Manifolds(real, fake)
        three, five = manifolds.of(3), manifolds.of(5)
        found = (three.real.balls > 0, three.fake.balls > 0, five.real.balls.double() / 5, five.real.points > 0)
        return [values.double().mean().item() for values in found]

    seconds, found = _cpu(ours)
    other, theirs = _cpu(lambda: prdc.compute_prdc(real.numpy(), fake.numpy(), 3))
    with contextlib.redirect_stdout(io.StringIO()):
        fifth = prdc.compute_prdc(real.numpy(), fake.numpy(), 5)
    expected = [theirs["precision"], theirs["recall"], fifth["density"], fifth["coverage"]]
    return _line(f"neighbours, {num:,} x {features:,}", seconds, "prdc", other, _apart(found, expected))


def kernel_distance(num: int = 3_000, features: int = 2_048) -> str:
    """KID from all pairs in float64; torch-fidelity with one subset of all examples, given float64 too: in float32 it is off by
    a thousandth."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    real, fake = _drawn(num, features, 0), 1.02 * _drawn(num, features, 1)
    seconds, found = _cpu(lambda: two_sample(real, fake, cubic).value)
    options, given = {"kid_subsets": 1, "kid_subset_size": num, "verbose": False}, (fake.double(), real.double())
    other, theirs = _cpu(lambda: kid_features_to_metric(*given, **options)["kernel_inception_distance_mean"])
    return _line(f"kid, {num:,} x {features:,}", seconds, "torch-fidelity", other, _apart([found], [theirs]))


def frechet(num: int = 3_000, features: int = 2_048) -> str:
    """FID from given features: means, covariances, distance; torch-fidelity is given float64, in which we compute."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    real, fake = _drawn(num, features, 0), 1.02 * _drawn(num, features, 1)

    given = [rows.double() for rows in (fake, real)]

    def theirs() -> float:
        statistics = [fid_features_to_statistics(rows) for rows in given]
        return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]

    seconds, found = _cpu(lambda: frechet_distance(*gaussian_statistics(real), *gaussian_statistics(fake)))
    other, expected = _cpu(theirs)
    return _line(f"fid, {num:,} x {features:,}", seconds, "torch-fidelity", other, _apart([found], [expected]))


def inception(num: int = 50) -> str:
    """Features of 50 images of 32 x 32 by Inception with random weights."""
    images = torch.randint(256, (num, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "inception.pth"
        theirs = _random_inception(path)
        settings = FeatureSettings(inception_weights=str(path))
        ours = InceptionFeatures(settings, DataSpec((3, 32, 32), 256), torch.device("cpu"))
    bars = Bars(shown=False)
    seconds, found = _cpu(lambda: ours.features(images, bars))
    with torch.no_grad():
        other, expected = _cpu(lambda: theirs(images)[0])
    apart = ((found - expected).norm() / expected.norm()).item()
    return _line(f"inception, {num} images", seconds, "torch-fidelity", other, apart)


def _random_inception(path: Path) -> nn.Module:
    """torch-fidelity's network, with weights drawn at random that are also written to `path`."""
    from unittest.mock import patch

    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Network

    with patch.object(torch, "load", lambda *_, **__: {}), patch.object(Network, "load_state_dict", lambda *_: None):
        network = Network("reference", ["2048"], feature_extractor_weights_path=str(path))
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)
    return network.eval()


def _drawn(num: int, features: int, seed: int) -> Tensor:
    return torch.randn(num, features, generator=torch.Generator().manual_seed(seed)).relu()


def _cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process with one thread, the least of two rounds; and the result."""
    from threadpoolctl import threadpool_limits  # scikit-learn's, for the threads of NumPy and of prdc

    threads, seconds = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for _ in range(ROUNDS):
            start = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()), threadpool_limits(1):
                found = work()
            seconds.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    return min(seconds), found


def _apart(found: list[float], expected: list[float]) -> float:
    return max(abs(a - b) / max(abs(b), 1e-300) for a, b in zip(found, expected, strict=True))


def _line(what: str, ours: float, name: str, theirs: float, apart: float) -> str:
    return f"{what}: {ours:.2f} s, {name} {theirs:.2f} s, {theirs / ours:.2f}x, apart by {apart:.0e} of the value"
