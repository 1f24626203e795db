"""DNSMOS: how good a sample sounds by itself, as a network says that listeners would (1 to 5).

Reddy, Gopal & Cutler 2022, arXiv 2110.01763: the overall score of P.835, by the network that the package `speechmos` holds. It
has heard noisy and cleaned speech of calls, no vocoders.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genarena.metrics.base import PairMetric, Unavailable
from genarena.statistics.heard import Heard

SECONDS = 9.01  # that the network hears
CALIBRATION = (-0.06766283, 1.11546468, 0.04602535)  # of the overall score: a x^2 + b x + c


class DNSMOS(PairMetric):
    """The mean over utterances of the overall score, of windows of 9.01 s every second; a shorter one is repeated.

    It needs no reference, so it does not notice another text or voice: read it beside `real`, that of the recordings.
    """

    title = "DNSMOS"
    higher_is_better = True
    range = (0.0, 5.0)

    def update(self, utterances: list[Heard]) -> None:
        """Pairs (1, T) at 16,000 Hz."""
        score = _network()
        values, real = (
            [score(getattr(pair, of)[0], pair.sample_rate) for pair in utterances] for of in ("made", "real")
        )
        self.keep(torch.tensor(values), sum(real) / len(real))


def _network() -> Callable[[Tensor, int], float]:
    """The score of a sound (T,) at 16,000 Hz. Raises Unavailable without the two packages."""
    try:
        import onnxruntime
        import speechmos
    except ImportError as error:
        raise Unavailable("needs speechmos and onnxruntime: pip install 'genarena[sound]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    path = Path(speechmos.__path__[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def score(sound: Tensor, rate: int) -> float:
        windows = _windows(sound.clamp(-1.0, 1.0).float(), rate)
        rated = [session.run(None, {"input_1": window[None].numpy()})[0][0, 2] for window in windows]
        return float(np.polyval(CALIBRATION, np.array(rated, dtype=np.float64)).mean())

    return score


def _windows(sound: Tensor, rate: int) -> Tensor:
    """(K, 9.01 rate) of a sound (T,); a short one is doubled until it is long enough, as `speechmos` does."""
    length = int(SECONDS * rate)
    while len(sound) < length:
        sound = torch.cat([sound, sound])
    return sound.unfold(0, length, rate)[: max(1, int(len(sound) // rate - SECONDS) + 1)]
