"""Mixtures of Gaussians and kernels against scikit-learn, on 43 numbers, as MINIBOONE has."""

import torch

from genarena.models.baseline.gmm import GMM
from genarena.models.baseline.kde import KDE
from genarena.published.speed.alternation import Pair, compared, still
from genarena.spec import Batch, DataSpec

SPEC, ROWS, COMPONENTS, EXAMPLES = DataSpec((43,)), 512, 100, 10_000


def gmm(num_rounds: int = 9) -> str:
    """100 diagonal Gaussians: a step of expectation maximisation, densities, samples."""
    from sklearn.mixture import GaussianMixture

    torch.manual_seed(0)
    x = torch.randn(EXAMPLES, 43)
    ours, points, rows = GMM(SPEC, num_components=COMPONENTS), x.double().numpy(), x[:ROWS].double().numpy()
    theirs = GaussianMixture(COMPONENTS, covariance_type="diag", max_iter=1, init_params="random_from_data")
    theirs.fit(points)
    ours.observe(Batch(x))
    pairs = [
        Pair(
            f"a step of EM on {EXAMPLES:,} rows",
            still(ours, lambda: ours.learn(x)),
            lambda: theirs._m_step(points, theirs._e_step(points)[1]),
        ),
        Pair(f"log p of {ROWS} rows", still(ours, lambda: ours.log_prob(x[:ROWS])), lambda: theirs.score_samples(rows)),
        Pair(f"{ROWS} samples", still(ours, lambda: ours.sample(ROWS)), lambda: theirs.sample(ROWS)),
    ]
    return compared("gmm", "scikit-learn", pairs, num_rounds)


def kde(num_rounds: int = 5) -> str:
    """10,000 kernels of a given bandwidth."""
    from sklearn.neighbors import KernelDensity

    torch.manual_seed(0)
    x, rows = torch.randn(EXAMPLES, 43), torch.randn(ROWS, 43)
    ours, theirs = KDE(SPEC, bandwidth=0.5), KernelDensity(bandwidth=0.5).fit(x.double().numpy())
    ours.observe(Batch(x))
    points = rows.double().numpy()
    pairs = [
        Pair(f"log p of {ROWS} rows", still(ours, lambda: ours.log_prob(rows)), lambda: theirs.score_samples(points)),
        Pair(f"{ROWS} samples", still(ours, lambda: ours.sample(ROWS)), lambda: theirs.sample(ROWS)),
    ]
    return compared("kde", "scikit-learn", pairs, num_rounds)
