"""Measures of speech of whole clips: metrics that a run has of the joined segments of its test split, here without seams."""

from genarena.likelihood import to_amplitudes
from genarena.metrics.base import PairMetric, Unavailable
from genarena.metrics.dnsmos import DNSMOS
from genarena.metrics.pesq import PESQ
from genarena.metrics.stoi import STOI
from genarena.spec import MAX_LEVELS
from genarena.statistics.heard import Heard
from genarena.statistics.resampling import SPEECH, to_speech_rate
from genarena.tasks.vocoding.asked import Sound

MEASURES: tuple[type[PairMetric], ...] = (PESQ, STOI, DNSMOS)
LEAST = 1.0  # seconds of a clip, as of an utterance


def scores(asked: Sound, made: Sound, sample_rate: int) -> dict[str, float]:
    """Title of each measure -> its value of a sound beside the clip that it was made for. Without those whose packages are not
    installed, or that find no speech; {} where only the mel is known, and for clips shorter than a second."""
    if asked.levels is None or asked.levels.shape[1] < LEAST * sample_rate:
        return {}
    amplitudes = (to_amplitudes(sound.levels.double(), MAX_LEVELS) for sound in (asked, made))
    pair = Heard(*(to_speech_rate(x, sample_rate) for x in amplitudes), SPEECH)
    found = {measure.title: _score(measure, pair) for measure in MEASURES}
    return {title: value for title, value in found.items() if value is not None}


def _score(measure: type[PairMetric], pair: Heard) -> float | None:
    metric = measure()
    try:
        metric.update([pair])
    except Unavailable:
        return None
    return metric.compute()
