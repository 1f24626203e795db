"""The test of two shares against scipy's."""

import pytest
from scipy.stats import fisher_exact

from genarena.statistics.copying import excess


@pytest.mark.parametrize("hits, n, others, m", [(0, 10, 0, 5), (12, 30, 3, 40), (100, 1000, 3, 360), (5, 5, 0, 5)])
def test_shares_as_scipy(hits: int, n: int, others: int, m: int) -> None:
    expected = fisher_exact([[hits, n - hits], [others, m - others]], alternative="greater").pvalue
    assert excess(hits, n, others, m) == pytest.approx(expected, rel=1e-8)
