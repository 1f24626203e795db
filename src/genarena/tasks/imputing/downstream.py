"""What completed rows are good for: a linear and a tree model trained on completed training rows, tested on completed test
rows.

Labels: the accuracy of logistic regression and of boosted trees. Numbers: R^2 of ridge regression and of boosted trees. What
a better imputation is worth here is often little (Le Morvan & Varoquaux 2024, arXiv 2407.19804).
"""

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from torch import Tensor

from genarena.tasks.base import Record

TITLES = {"linear": "linear model", "trees": "boosted trees"}
ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)


def of(train: Tensor, test: Tensor, targets: tuple[Tensor, Tensor], linear: bool = True) -> dict[str, Record]:
    """Records of both models for rows (N, D); targets: of training and test rows. Boosted trees also take NaN: linear=False."""
    labels = not targets[0].is_floating_point()
    trees = HistGradientBoostingClassifier if labels else HistGradientBoostingRegressor
    models = {"trees": trees(random_state=0)}
    if linear:
        models = {"linear": LogisticRegression(max_iter=2000) if labels else RidgeCV(ALPHAS)} | models
    kind, (y, wanted) = "accuracy" if labels else "R^2", (each.numpy() for each in targets)
    found = {}
    for name, model in models.items():
        value = float(model.fit(train.numpy(), y).score(test.numpy(), wanted))
        record = {"title": f"{kind}, {TITLES[name]}", "value": value, "n": len(test), "higher_is_better": True}
        found[f"downstream_{name}"] = record
    return found
