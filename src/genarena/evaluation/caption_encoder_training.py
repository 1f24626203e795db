"""Trains the encoders of pictures and captions of a data set, once, on its training pairs; keeps them in the cache."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import seeded_generator
from genarena.evaluation.caption_encoder import RECIPE, CaptionEncoder, recipe_hash
from genarena.evaluation.disturbing import disturbed
from genarena.evaluation.features import cached_once
from genarena.files.progress import Bars
from genarena.likelihood import to_unit
from genarena.metrics.base import Unavailable
from genarena.ranks import exchange

UNKNOWN = 1  # token of a word that is not known


def caption_encoder(data: ArenaDataModule, bars: Bars) -> CaptionEncoder:
    """The encoders of this data set, from the cache or trained now. Raises Unavailable for data without captions, and for
    data other than images of integer levels."""
    spec = data.spec
    if not spec.is_image or not spec.is_discrete or data.train.captions is None:
        raise Unavailable(f"needs images of integer levels with captions; {data.name} has none")
    name = f"{data.facts['id']}/caption-encoder-{recipe_hash()}.pt"
    stored = exchange.from_zero(
        lambda: cached_once(name, lambda: _trained(data, bars), check=lambda kept: _restored(data, kept))
    )
    return _restored(data, stored)


def _restored(data: ArenaDataModule, stored: dict[str, Any]) -> CaptionEncoder:
    with torch.random.fork_rng(devices=[]):
        encoder = CaptionEncoder(data.spec, _num_words(data))
    encoder.load_state_dict(stored["weights"])
    return encoder.eval().requires_grad_(False)


def _num_words(data: ArenaDataModule) -> int:
    return len(data.vocabulary().words)


def _trained(data: ArenaDataModule, bars: Bars) -> dict[str, Any]:
    """Weights, trained in float64 on the CPU and rounded, so that rounding errors, which differ between machines, vanish."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        torch.manual_seed(RECIPE["seed"])
        encoder = CaptionEncoder(data.spec, _num_words(data)).double()
        _fit(encoder, data, bars)
    weights = {
        name: value.half().float() if value.is_floating_point() else value
        for name, value in encoder.state_dict().items()
    }
    return {"weights": weights}


def _fit(encoder: CaptionEncoder, data: ArenaDataModule, bars: Bars) -> None:
    x, captions = data.train.x, data.train.captions
    batch_size = min(RECIPE["batch_size"], len(x))
    steps = max(1, round(min(RECIPE["examples"], RECIPE["max_epochs"] * len(x)) / batch_size))
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=RECIPE["lr"], weight_decay=RECIPE["weight_decay"], fused=True
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], steps)
    generator, batches = seeded_generator("caption encoder", RECIPE["seed"]), _batches(len(x), batch_size)
    for _ in bars.track(range(steps), f"training the encoders of captions of {data.name}, once", steps):
        index = next(batches)
        chosen = torch.randint(captions.shape[1], (len(index),), generator=generator)
        tokens = _forgetful(captions[index, chosen], generator)
        unit = disturbed(to_unit(x[index], data.spec.num_levels), generator).double()
        optimizer.zero_grad()
        encoder.loss(unit, tokens).backward()
        optimizer.step()
        cycle.step()


def _forgetful(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Tokens (N, length) of which some words become the unknown one."""
    lost = torch.rand(tokens.shape, generator=generator) < RECIPE["dropout"]
    return torch.where(lost & (tokens != 0), UNKNOWN, tokens)


def _batches(size: int, batch_size: int) -> Iterator[Tensor]:
    """Indices (batch_size,) without end, from one permutation after the other."""
    while True:
        yield from torch.randperm(size).split(batch_size)[: size // batch_size]
