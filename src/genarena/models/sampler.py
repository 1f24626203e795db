"""Samplers: how samples are drawn from a trained model. No weight depends on them, so a finished run may take another one.

A sampler is a frozen dataclass, and a file of `conf/sampler` describes it. A model names the class of those that fit it in
`samplers` (`GenerativeModel`), and takes one as its argument `sampler`.
"""

from dataclasses import dataclass

from genarena.options import values


@dataclass(frozen=True)
class Sampler:
    """Base of all samplers. Raises ValueError for an option of the wrong type or out of its range."""

    def __post_init__(self) -> None:
        values.check_fields(self, "sampler")
