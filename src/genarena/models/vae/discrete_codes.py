"""Discrete codes with a prior: what a VQ-VAE with a prior of its own and one of a finished run (`latent_ar`) share.

    log p(x) >= log p(x|e(x)) + log p(e(x) | y)

Codes e are one channel of an image whose levels are their indices, so that any model of images of levels can be the prior.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import Parts
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Quantises
from genarena.spec import DataSpec

ROWS = 256  # examples that are encoded or decoded at once


def spec_of_codes(first: Quantises, spec: DataSpec) -> DataSpec:
    """What the codes of data `spec` are to a prior: (1, h, w), a level per code; conditional as `spec` is."""
    return replace(spec, shape=(1, *first.code_size), num_levels=first.num_codes, palette=None)


@torch.no_grad()
def codes_as_levels(first: Quantises, x: Tensor, spec: DataSpec) -> Tensor:
    """e(x) (N, 1, h, w) as levels of the prior, whose data is `spec`."""
    return torch.cat([first.codes(part) for part in x.split(ROWS)])[:, None].to(spec.dtype)


@torch.no_grad()
def rendered_codes(first: Quantises, codes: Tensor) -> Tensor:
    """x ~ p(x|e) of levels e (N, 1, h, w). A code that is NaN makes its example NaN."""
    parts = codes[:, 0].nan_to_num().long().split(ROWS)
    x = torch.cat([first.likelihood_of_codes(part).sample() for part in parts])
    broken = codes.isnan().flatten(1).any(1)
    return torch.where(broken[:, None, None, None], math.nan, x) if broken.any() else x


def log_likelihood_given(first: Quantises, x: Tensor, codes: Tensor) -> Tensor:
    """log p(x|e) of levels e (N, 1, h, w), (N,) nats."""
    pairs = zip(x.split(ROWS), codes[:, 0].long().split(ROWS), strict=True)
    parts = [first.likelihood_of_codes(own).log_prob(part).flatten(1).sum(1) for part, own in pairs]
    return torch.cat(parts)


def parts_of_bound(first: Quantises, x: Tensor, codes: Tensor, log_prior: Tensor) -> Parts:
    """Distortion -log p(x|e) and rate -log p(e) of levels e (N, 1, h, w); indices have no mean that could shift."""
    places = codes[0].numel()
    return Parts(-log_likelihood_given(first, x, codes), -log_prior[:, None], log_prior.new_zeros(len(x), 0), (places,))


def information_of_codes(codes: Tensor) -> Tensor:
    """-log of the share of the N examples that have the same levels e (N, 1, h, w), (N,) nats: q has all its mass on e."""
    _, which, counts = codes.flatten(1).unique(dim=0, return_inverse=True, return_counts=True)
    return -(counts[which] / len(codes)).log()


def estimator_of_bound(prior: GenerativeModel, num_samples: int) -> dict[str, Any]:
    """As `GenerativeModel.estimator`, of the bound."""
    of_prior = prior.estimator(num_samples)
    method = f"evidence lower bound: one code per place; log p(codes): {of_prior.pop('method')}"
    return {"method": method, "draws_asked": num_samples, **of_prior}
