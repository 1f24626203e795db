"""All metrics of one table of codes, as records."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genarena.data.batches import seeded_generator
from genarena.statistics.disentanglement import importance, information, separability, total_correlation
from genarena.statistics.disentanglement.explicitness import explicitness
from genarena.statistics.disentanglement.robustness import irs
from genarena.statistics.disentanglement.table import CodeTable
from genarena.statistics.disentanglement.voting import active, beta_vae_score, factor_vae_score
from genarena.tasks.base import Record

TITLES = {
    "mig": "MIG",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "factor_vae_score": "FactorVAE score",
    "beta_vae_score": "BetaVAE score",
    "sap": "SAP",
    "sap_continuous": "SAP, factors as quantities",
    "modularity": "modularity",
    "explicitness": "explicitness",
    "irs": "IRS",
    "gaussian_total_correlation": "total correlation, Gaussian (nats)",
    "gaussian_wasserstein_correlation": "Wasserstein correlation, Gaussian",
    "information_between_codes": "information between two codes (nats)",
    "active_codes": "codes that move",
}
NEUTRAL = (
    "gaussian_total_correlation",
    "gaussian_wasserstein_correlation",
    "information_between_codes",
    "active_codes",
)


@dataclass(frozen=True)
class Draws:
    """How many random combinations the metrics see that cannot use the whole grid: for training; half as many for testing.

    points: of votes and of linear classifiers. trees: of gradient-boosted trees. seed: of the draws.
    """

    points: int
    trees: int
    seed: int

    def generator(self, name: str) -> np.random.Generator:
        """Draws of their own for each metric, so that no number depends on which others are computed."""
        return np.random.default_rng(seeded_generator(self.seed, 0, name).initial_seed())

    def rows(self, table: CodeTable, name: str, num: int) -> tuple[Any, Any]:
        """Training and test rows."""
        generator = self.generator(name)
        return table.sample(num, generator), table.sample(num // 2, generator)


@dataclass(frozen=True)
class Scored:
    """information: I(z_j; v_k) / H(v_k) (D, K). importances: of the trees, (D, K), relative."""

    metrics: dict[str, Record]
    information: np.ndarray
    importances: np.ndarray


def scored(table: CodeTable, names: tuple[str, ...], draws: Draws) -> Scored:
    """names: of the scored factors."""
    codes, factors = table.codes, table.factors
    known, entropies = information.mutual_information(codes, factors), information.entropies(factors)
    trees = importance.predicted(*draws.rows(table, "trees", draws.trees), draws.seed)
    by_line = separability.accuracies(*draws.rows(table, "sap", draws.points), draws.seed)
    by_square = separability.gaps(separability.squared_correlations(codes, factors))
    readable = explicitness(*draws.rows(table, "explicitness", draws.points))
    found = [
        each("mig", information.mig(known, entropies), names),
        whole("dci_disentanglement", importance.disentanglement(trees.importances)),
        whole("dci_completeness", importance.completeness(trees.importances)),
        each("dci_informativeness", trees.accuracies, names),
        *_votes(table, draws),
        each("sap", separability.gaps(by_line), names),
        each("sap_continuous", by_square, names),
        _modularity(known),
        each("explicitness", readable, names),
        whole("irs", irs(codes, factors)),
        whole("gaussian_total_correlation", total_correlation.gaussian_total_correlation(codes)),
        whole("gaussian_wasserstein_correlation", total_correlation.gaussian_wasserstein_correlation(codes)),
        whole("information_between_codes", total_correlation.information_between_codes(codes)),
        whole("active_codes", float(active(codes).sum()), of=codes.shape[1]),
    ]
    metrics = {name: _told(name, record, draws, len(codes)) for name, record in found}
    return Scored(metrics, known / entropies, trees.importances)


def whole(name: str, value: float, **facts: Any) -> tuple[str, Record]:
    """A metric that is one number. inf: a total correlation; NaN: of a factor with too few values among the drawn rows."""
    if not math.isfinite(value):
        linear, few = "codes are linear functions of each other", "too few combinations were drawn to see all values"
        return name, {"value": None, "reason": few if math.isnan(value) else linear, **facts}
    return name, {"value": value, **facts}


def each(name: str, values: np.ndarray, names: tuple[str, ...]) -> tuple[str, Record]:
    """The mean over factors, and the value of each."""
    return whole(name, float(np.mean(values)), of_each=dict(zip(names, values.tolist(), strict=True)))


def _votes(table: CodeTable, draws: Draws) -> list[tuple[str, Record]]:
    found, num = [], draws.points // 2
    for name, score in (("factor_vae_score", factor_vae_score), ("beta_vae_score", beta_vae_score)):
        value = score(table, draws.generator(name), draws.points, num)
        half = 1.96 * math.sqrt(value * (1.0 - value) / num)
        found.append(whole(name, value, ci95_half_width=half))
    return found


def _modularity(known: np.ndarray) -> tuple[str, Record]:
    if known.shape[1] < 2:
        return "modularity", {"value": None, "reason": "there is one factor"}
    return whole("modularity", information.modularity(known))


SAMPLED: Mapping[str, str] = {
    "dci_disentanglement": "trees",
    "dci_completeness": "trees",
    "dci_informativeness": "trees",
    "sap": "points",
    "explicitness": "points",
    "factor_vae_score": "points",
    "beta_vae_score": "points",
}


def _told(name: str, record: Record, draws: Draws, grid: int) -> Record:
    """n: combinations that the value is from; of what is trained, those that test it."""
    shared: Record = {"title": TITLES[name], "counted": "combinations"} | (
        {} if name in NEUTRAL else {"higher_is_better": True}
    )
    if name in SAMPLED:
        num = getattr(draws, SAMPLED[name])
        return shared | {"n": num // 2, "trained_on": num} | record
    return shared | {"n": grid, "exact": True} | record
