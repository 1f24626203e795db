"""Times of calls, and on what they were measured."""

from typing import NamedTuple

from torch import Tensor


class Timed(NamedTuple):
    """seconds: (N,) float64, wall time of each sound. length: its samples; sample_rate: samples of a second."""

    seconds: Tensor
    length: int
    sample_rate: int
    device: str
    threads: int
