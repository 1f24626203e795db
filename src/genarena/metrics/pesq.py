"""PESQ: how much worse a sample sounds than the sound whose mel it was drawn for, as listeners to telephones said (1 to 4.64).

Rix, Beerends, Hollier & Hekstra 2001, doi 10.1109/ICASSP.2001.941023; wide band, ITU-T P.862.2, at 16,000 Hz, computed by the
package `pesq`. Differs from the recommendation: utterances of one second count, where it asks for eight.
"""

import torch

from genarena.metrics.base import PairMetric, Unavailable
from genarena.statistics.heard import Heard

SAME = 4.6439  # of any sound beside itself


class PESQ(PairMetric):
    """The mean opinion score that P.862.2 predicts, the mean over utterances. Sound beside itself has 4.644.

    It was made for codecs and lines: it aligns the two sounds, and hears nothing above 8,000 Hz. Neighbouring segments are
    joined, and a model that is asked for each alone pays for its seams.
    """

    title = "PESQ"
    higher_is_better = True
    range = (1.0, 4.65)

    def update(self, utterances: list[Heard]) -> None:
        """Pairs (1, T) at 16,000 Hz."""
        try:
            import pesq
        except ImportError as error:
            raise Unavailable("needs the package pesq: pip install 'genarena[sound]'") from error

        if not all(made.any() for _, made, _ in utterances):  # the package divides by its loudness
            raise Unavailable("PESQ of silence: some samples are silent")
        try:
            values = [pesq.pesq(rate, real[0].numpy(), made[0].numpy(), "wb") for real, made, rate in utterances]
        except pesq.NoUtterancesError as error:
            raise Unavailable("PESQ finds no speech in some utterances or samples") from error
        self.keep(torch.tensor(values), real=SAME)
