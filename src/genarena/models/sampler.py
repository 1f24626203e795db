"""Samplers: how samples are drawn from a trained model. No weight depends on them, so a finished run may take another one.

A sampler is a frozen dataclass, and a file of `conf/sampler` describes it. A model names the class of those that fit it in
`samplers` (`GenerativeModel`), and takes one as its argument `sampler`.
"""

from dataclasses import dataclass

from genarena.options import values
from genarena.options.values import NonNegative


@dataclass(frozen=True)
class Sampler:
    """Base of all samplers. Raises ValueError for an option of the wrong type or out of its range."""

    def __post_init__(self) -> None:
        values.check_fields(self, "sampler")


@dataclass(frozen=True)
class Direct(Sampler):
    """One pass of the model, with no options but a temperature T.

    temperature: the prior p(z) is N(0, T^2 I) (flows, decoders); logits are divided by T (autoregressive models).
        1 draws from the model itself.
    """

    temperature: NonNegative = 1.0
