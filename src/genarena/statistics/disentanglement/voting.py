"""The two scores by votes: FactorVAE (Kim & Mnih 2018, arXiv 1802.05983, sec. 4) and BetaVAE (Higgins et al. 2017, sec. 4.1).

A vote is a batch of pictures that share one factor, drawn at random; the score is the accuracy of telling which.
"""

import numpy as np

from genarena.statistics.disentanglement.iterations import converged_or_not
from genarena.statistics.disentanglement.table import CodeTable

BATCH = 64
DEAD = 0.05  # a code with a smaller standard deviation does not vote
AT_ONCE = 1_000  # votes


def factor_vae_score(table: CodeTable, generator: np.random.Generator, num_train: int, num_test: int) -> float:
    """A vote names the code whose variance in the batch is smallest relative to that over the grid (ddof 1). The factor of a
    code is the one with most of its training votes. 0 if all codes are dead."""
    alive = active(table.codes)
    if not alive.any():
        return 0.0
    spread = table.codes[:, alive].var(0, ddof=1)
    num = num_train + num_test
    columns = table.columns
    fixed = generator.integers(len(columns), size=num)
    named = np.empty(num, int)
    for first in range(0, num, AT_ONCE):
        part = columns[fixed[first : first + AT_ONCE]]
        factors = table.drawn(len(part) * BATCH, generator).reshape(len(part), BATCH, -1)
        rows = np.arange(len(part))
        factors[rows, :, part] = factors[rows, 0, part][:, None]
        own = table.at(factors)[..., alive].var(1, ddof=1)
        named[first : first + AT_ONCE] = (own / spread).argmin(1)
    votes = np.zeros((len(columns), alive.sum()), int)
    np.add.at(votes, (fixed[:num_train], named[:num_train]), 1)
    return float((votes.argmax(0)[named[num_train:]] == fixed[num_train:]).mean())


def beta_vae_score(table: CodeTable, generator: np.random.Generator, num_train: int, num_test: int) -> float:
    """Each batch has pairs with the factor in common; logistic regression (scikit-learn's defaults) names it from the mean
    absolute difference of their codes. A single factor is always named right."""
    from sklearn.linear_model import LogisticRegression

    num = num_train + num_test
    columns = table.columns
    shared = generator.integers(len(columns), size=num)
    gaps = np.empty((num, table.codes.shape[1]))
    for first in range(0, num, AT_ONCE):
        part = columns[shared[first : first + AT_ONCE]]
        one, two = (table.drawn(len(part) * BATCH, generator).reshape(len(part), BATCH, -1) for _ in range(2))
        rows = np.arange(len(part))
        two[rows, :, part] = one[rows, :, part]
        gaps[first : first + AT_ONCE] = np.abs(table.at(one) - table.at(two)).mean(1)
    if len(columns) == 1:
        return 1.0
    with converged_or_not():
        fitted = LogisticRegression().fit(gaps[:num_train], shared[:num_train])
    return float((fitted.predict(gaps[num_train:]) == shared[num_train:]).mean())


def active(codes: np.ndarray) -> np.ndarray:
    """Whether each code (N, D) moves, bool (D,)."""
    return codes.std(0) >= DEAD
