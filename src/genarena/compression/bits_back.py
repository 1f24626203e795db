"""Bits back with asymmetric numeral systems (Townsend, Bird & Barber 2019, arXiv 1901.04866).

Per image, on one stack of bits: pop z ~ q(z|x), push x under p(x|z), push z under p(z). The stack grows by
-log2 p(x|z) - log2 p(z) + log2 q(z|x) bits, whose mean over z is the negative evidence lower bound. The images form a
chain: each image pops bits that the previous image pushed. The first one needs random bits instead, `Coder.initial_bits`
of them; they are part of the file and are counted.

Every latent dimension takes one of 2^16 values, the medians of bins of equal mass under the prior N(0, 1), so p(z) costs
exactly 16 bits per dimension. Differs from the paper:

- Codes beyond 4.2 standard deviations of the prior fall into the outermost bins. This matters only if the posterior is much
  wider than the prior, which the KL term prevents.
- A bin is coded in two steps of 8 bits: the upper half, then the lower half given the upper one. By the chain rule this is
  the same distribution. A single table of 2^16 entries would lose 2^16 2^-24 of its mass to unused entries.
- Before a bin is pushed, a pseudo-random number that encoder and decoder know is added to it, modulo 2^16; under a uniform
  prior this costs nothing. Without it the codes of one image would be the only source of randomness for the next one (they
  are not "clean bits", in the paper's words), and the cost would not equal the bound.
"""

import numpy as np
import torch
from constriction import stream
from scipy.special import ndtr, ndtri
from torch import Tensor

from genarena.compression.coder import NOT_OURS, TABLES, Coder, decoded, table
from genarena.errors import Untrusted
from genarena.files.progress import Bars
from genarena.models.capabilities import DiagonalNormal, Infers

STEP = 256  # bins per step
NUM_BINS = STEP * STEP
PRIOR = stream.model.Uniform(NUM_BINS)
UPPER_EDGES = ndtri(np.linspace(0.0, 1.0, STEP + 1))
FLOOR = 1e-12  # keeps the sum of a table positive if a bin without mass was popped


class BitsBackCoder(Coder):
    """One image after the other. The last image is pushed first, so that decoding pops them in order."""

    name = "bits-back ANS"

    def __init__(self, model: Infers) -> None:
        self.model = model
        self.initial_bits = 16 * (model.latent_dim + model.latent_dim % 2)  # as much as one image pops on average

    def encode(self, x: Tensor, bars: Bars) -> np.ndarray:
        ans = stream.stack.AnsCoder(_random_words(self.initial_bits // 32))
        for index in bars.track(range(len(x) - 1, -1, -1), "encode, one image after the other"):
            image = x[index : index + 1]
            bins = pop_bins(ans, self.model.posterior(image))
            levels = image.flatten().to("cpu", torch.int32).numpy()
            ans.encode_reverse(levels, TABLES, self._pixel_table(bins))
            ans.encode_reverse((bins + _noise(index, len(bins))) % NUM_BINS, PRIOR)
        return ans.get_compressed()

    def decode(self, words: np.ndarray, num_images: int, bars: Bars) -> Tensor:
        if len(words) and not words[-1]:
            raise Untrusted(NOT_OURS)  # no valid stack ends in zero
        ans, images = stream.stack.AnsCoder(words), []
        for index in bars.track(range(num_images), "decode, one image after the other"):
            bins = decoded(ans, PRIOR, self.model.latent_dim)
            bins = (bins - _noise(index, len(bins))) % NUM_BINS
            levels = decoded(ans, TABLES, self._pixel_table(bins))
            images.append(torch.from_numpy(levels).to(self.model.spec.dtype).view(1, *self.model.spec.shape))
            push_bins(ans, bins, self.model.posterior(images[-1].to(self.model.device)))
        return torch.cat(images)

    def _pixel_table(self, bins: np.ndarray) -> np.ndarray:
        z = torch.from_numpy(bin_medians(bins)).float().to(self.model.device)
        return table(self.model.likelihood_of(z.unsqueeze(0)))


def pop_bins(ans: stream.stack.AnsCoder, posterior: DiagonalNormal) -> np.ndarray:
    """Bins (D,), int32, one per dimension of the posterior of one example, drawn with bits from the stack."""
    upper = decoded(ans, TABLES, _upper_table(posterior))
    return STEP * upper + decoded(ans, TABLES, _lower_table(posterior, upper))


def push_bins(ans: stream.stack.AnsCoder, bins: np.ndarray, posterior: DiagonalNormal) -> None:
    """The inverse of `pop_bins`."""
    upper, lower = np.divmod(bins, np.int32(STEP))
    ans.encode_reverse(lower, TABLES, _lower_table(posterior, upper))
    ans.encode_reverse(upper, TABLES, _upper_table(posterior))


def bin_medians(bins: np.ndarray) -> np.ndarray:
    """The values of z, float64, that the bins stand for."""
    return ndtri((bins + 0.5) / NUM_BINS)


def _upper_table(posterior: DiagonalNormal) -> np.ndarray:
    """(D, 256): mass of the posterior in each group of 256 bins."""
    return _masses(np.broadcast_to(UPPER_EDGES, (posterior.mean.shape[1], STEP + 1)), posterior)


def _lower_table(posterior: DiagonalNormal, upper: np.ndarray) -> np.ndarray:
    """(D, 256): mass of the posterior in each bin of the groups `upper` (D,). Rows are not normalised."""
    return _masses(ndtri((STEP * upper[:, None] + np.arange(STEP + 1)) / NUM_BINS), posterior)


def _masses(edges: np.ndarray, posterior: DiagonalNormal) -> np.ndarray:
    mean, log_var = (value[0].double().cpu().numpy()[:, None] for value in (posterior.mean, posterior.log_var))
    masses = np.diff(ndtr((edges - mean) * np.exp(-0.5 * log_var)), axis=1).clip(0.0) + FLOOR
    return np.ascontiguousarray(masses)  # constriction ignores strides


def _noise(index: int, count: int) -> np.ndarray:
    """Pseudo-random bins (count,), int32, for image `index`; numpy guarantees that this stream never changes."""
    return (np.random.PCG64(index).random_raw(count) % NUM_BINS).astype(np.int32)


def _random_words(count: int) -> np.ndarray:
    """Random words (count,), uint32, none of them zero: a stack must not end in zero."""
    return np.random.default_rng(0).integers(1, 2**32, count, dtype=np.uint32)
