"""Labelled parts of a training set: stratified, nested, the same for all models."""

from dataclasses import dataclass, replace

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.splitting import ranks, stratified


@dataclass(frozen=True)
class Labelled:
    """real: the examples whose labels are known. others: as many real examples beside them, at most; of the training split, or
    of the validation split (`others_from`) where all training examples are labelled."""

    real: Split
    others: Split
    others_from: str


def labelled(train: Split, val: Split, fraction: float, seed: int) -> Labelled:
    """The labelled examples of a fraction, and others like them, in memory."""
    order = ranks(train.y, seed)
    chosen = stratified(train.y, fraction, seed)
    rest = (~chosen).nonzero().flatten()
    rest = rest[order[rest].argsort(stable=True)][: int(chosen.sum())]
    others = train[rest] if len(rest) else val[: int(chosen.sum())]
    return Labelled(train[chosen.nonzero().flatten()], others, "train" if len(rest) else "val")


def whole(data: ArenaDataModule) -> ArenaDataModule:
    """The set itself, set up, of a run that was trained on one label or on a fraction of the labels."""
    if data.only is None and data.label_fraction is None:
        return data
    made = replace(data, only=None, label_fraction=None)
    made.setup()
    return made
