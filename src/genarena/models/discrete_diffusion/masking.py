"""Random masks for the bound of masked diffusion, in which the integral over the times of equal counts is done exactly.

With alpha_t = 1 - t a dimension is masked with probability t, and the bound weighs the masked ones by 1 / t. Given their number
k all subsets are alike, and  integral_0^1 Binomial(k; D, t) / t dt = 1 / k  for every k = 1 .. D. So

    -log p(x) <= sum_{k=1..D} 1/k E_{|M| = k} sum_{i in M} -log p(x_i | x without M)
              =  E_{k ~ U{1..D}} D/k E_{|M| = k} sum_{i in M} -log p(x_i | x without M)

(Hoogeboom et al. 2022, arXiv 2110.02037, eq. 4; Ou et al. 2025, arXiv 2406.03736). Drawing k = ceil(t D) and a subset of that
size has the mean of drawing every dimension by itself, and a finite variance: that of 1 / t over t does not exist.
"""

import torch
from torch import Tensor


def draw_counts(
    num: int, num_dims: int, stratum: int = 0, strata: int = 1, device: torch.device | None = None
) -> Tensor:
    """k = ceil(t D) (num,) in 1 .. D, of times t drawn from part `stratum` of `strata` equal parts of [0, 1].

    Within the part they are stratified over the batch, in random order (Kingma et al. 2021, arXiv 2107.00630, appendix I.1).
    """
    place = torch.randperm(num, device=device) + torch.rand(num, device=device, dtype=torch.float64)
    t = (stratum + place / num) / strata
    return (1 + (t * num_dims).long()).clamp_max(num_dims)


def draw_masks(counts: Tensor, num_dims: int) -> Tensor:
    """(N, num_dims) booleans, `counts` (N,) of each row true, all subsets equally likely."""
    places = torch.rand(len(counts), num_dims, device=counts.device, dtype=torch.float64)
    return places <= places.sort(1).values.gather(1, counts[:, None] - 1)
