"""STOI: how well the words of a sample are understood, by how its bands follow those of the sound (0 to 1).

Taal, Hendriks, Heusdens & Jensen 2011, doi 10.1109/TASL.2011.2114881, computed by the package `pystoi` from sound at 16,000 Hz.
"""

import torch

from genarena.metrics.base import PairMetric, Unavailable
from genarena.statistics.heard import Heard


class STOI(PairMetric):
    """Correlation of the envelopes of 15 bands over 384 ms, the mean over bands, times and utterances. 1: the sound itself.

    It tells noisy speech from clear speech, and hardly anything about vocoders: all that are understood are near 1.
    """

    title = "STOI"
    higher_is_better = True
    range = (-1.0, 1.0)

    def update(self, utterances: list[Heard]) -> None:
        """Pairs (1, T) at 16,000 Hz."""
        try:
            import pystoi
        except ImportError as error:
            raise Unavailable("needs the package pystoi: pip install 'genarena[sound]'") from error

        values = [float(pystoi.stoi(real[0].numpy(), made[0].numpy(), rate)) for real, made, rate in utterances]
        self.keep(torch.tensor(values), real=1.0)
