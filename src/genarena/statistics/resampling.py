"""Sound at another sample rate."""

import math

import torch
from torch import Tensor

SPEECH = 16_000  # Hz, the rate of measures of speech: nothing above 8,000 Hz is heard by them


def to_speech_rate(x: Tensor, sample_rate: int) -> Tensor:
    """Sounds (..., T) at 16,000 Hz, (..., ceil(16,000 T / sample_rate)) float64: by a polyphase low-pass filter, with a Kaiser
    window (scipy's `resample_poly`)."""
    from scipy.signal import resample_poly

    common = math.gcd(SPEECH, sample_rate)
    return torch.from_numpy(resample_poly(x.double().numpy(), SPEECH // common, sample_rate // common, axis=-1))
