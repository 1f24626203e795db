"""The same networks before training: what of a result is due to what was learnt?"""

import torch

from genarena.data.base import ArenaDataModule
from genarena.models.base import GenerativeModel
from genarena.spec import Batch

BATCHES, BATCH = 2, 128  # that an untrained model sees, for layers that start from data


def untrained(model: GenerativeModel, data: ArenaDataModule) -> GenerativeModel | None:
    """The model with new weights, after its layers that start from data have seen some; None where it is not known how to
    make it, and for baselines, which those examples would fit."""
    if model.untrained is None or model.family == "baseline":
        return None
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        fresh = model.untrained().to(model.device).train()
        for rows in torch.arange(min(BATCHES * BATCH, data.train.size)).split(BATCH):
            x, y = data.train[rows].batch(data.spec.condition)
            batch = Batch(x.to(model.device), None if y is None else y.to(model.device))
            fresh.observe(batch)
            fresh.loss(batch)
    return fresh.eval()
