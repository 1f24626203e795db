"""Sound that a model makes of a mel, and how near its mel is to the one that was asked for."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.errors import UserError
from genarena.likelihood import to_amplitudes
from genarena.models.base import GenerativeModel
from genarena.models.vocoding import Vocodes, in_chunks
from genarena.spec import MAX_LEVELS, MEL_HOP, DataSpec
from genarena.statistics import mel, multi_resolution_stft
from genarena.tasks.vocoding import listening
from genarena.tasks.vocoding.asked import Sound

Distances = Mapping[str, float]  # by their names


@dataclass(frozen=True)
class Draw:
    """How sound is made: sigma is the deviation of the noise; denoise, the share of the hum that is taken away."""

    sigma: float
    denoise: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Copy(Sound):
    """A sound that was made of a mel. seconds: of computing. distances: see `DISTANCES`, and `listening.MEASURES`."""

    seconds: float
    distances: Distances


def log_mel_l1(asked: Sound, made: Sound) -> float:
    """Mean |log M(x) - log M(x')| over bands and frames, in nats."""
    return (asked.mel - made.mel).abs().mean().item()


def spectral_convergence(asked: Sound, made: Sound) -> float:
    """||M(x) - M(x')||_F / ||M(x)||_F of mel magnitudes (Arik, Jun & Diamos 2018, arXiv 1808.06719, eq. 2)."""
    wanted = asked.mel.double().exp()
    return ((wanted - made.mel.double().exp()).norm() / wanted.norm()).item()


def mr_stft(asked: Sound, made: Sound) -> float | None:
    """The multi-resolution STFT distance of the clip and the sound made of its mel; None for sound too short for it."""
    if asked.levels is None or asked.levels.shape[1] < multi_resolution_stft.SHORTEST:
        return None
    target, other = (to_amplitudes(sound.levels.double(), MAX_LEVELS) for sound in (asked, made))
    return multi_resolution_stft.mr_stft(target, other).item()


# Of what was asked for and what was made; None where it needs a clip, and only a mel is known.
DISTANCES: dict[str, Callable[[Sound, Sound], float | None]] = {
    "log-mel L1": log_mel_l1,
    "spectral convergence": spectral_convergence,
    "MR-STFT": mr_stft,
}


def require(model: GenerativeModel, sigmas: list[float] | None, denoise: float) -> None:
    """Raise UserError unless the model makes sound of a mel, and sigma and the denoiser are things that it has."""
    name, condition = type(model).__name__, model.spec.condition
    if not model.spec.is_playable:
        raise UserError(f"run: {name} draws no sound of 16 bits (its data has shape {model.spec.shape})")
    if condition is None or condition.kind != "mel":
        raise UserError(f"run: {name} was trained without mels: train it with data.condition=mel")
    if not isinstance(model, Vocodes):
        raise UserError(f"run: {name} makes no sound of a mel of any length")
    if sigmas is not None and model.usual_sigma is None:
        raise UserError(f"sigma: the sound of {name} does not depend on how large its noise is; leave it out")
    if denoise and type(model).without_hum is Vocodes.without_hum:
        raise UserError(f"denoise={denoise:g}: {name} has no denoiser, only flows of sound have; leave it out")


def vocoded(model: Vocodes, asked: Sound, draw: Draw, frames: int | None = None) -> Copy:
    """The sound of the mel that is asked for, made in chunks of `frames` hops (`in_chunks`).

    The noise depends on the seed and its place alone: that of a longer clip begins as that of a shorter one, and every sigma
    scales the same. Raises UserError for a model that cannot, and for sound that is not finite.
    """
    length, started = (asked.mel.shape[1] - 1) * MEL_HOP, time.perf_counter()
    noise = draw.sigma * noise_of(draw.seed, length, model.noise_channels)
    try:
        made = model.without_hum(in_chunks(model, asked.mel[None], noise, frames), draw.denoise)
    except ValueError as error:
        raise UserError(str(error)) from error
    seconds = time.perf_counter() - started
    if made.is_floating_point():
        raise UserError(f"{type(model).__name__} made samples that are not finite")
    return measured(asked, made[0], seconds, model.spec)


def noise_of(seed: int, length: int, channels: int) -> Tensor:
    """(1, channels, length) standard normal numbers."""
    generator = seeded_generator("vocode", seed)
    return torch.randn(1, length, channels, generator=generator).mT.contiguous()


def measured(asked: Sound, levels: Tensor, seconds: float, spec: DataSpec) -> Copy:
    """The sound of levels (1, T), with its distances from what was asked for."""
    own = mel.log_mel(to_amplitudes(levels.double(), spec.num_levels), spec.sample_rate)[0].float()
    made = Sound(own, levels)
    found = {title: distance(asked, made) for title, distance in DISTANCES.items()}
    known = {title: value for title, value in found.items() if value is not None}
    return Copy(own, levels, seconds, known | listening.scores(asked, made, spec.sample_rate))


def mean_distances(distances: Sequence[Distances]) -> Distances:
    """The mean of each over sounds, at least one: of those that all of them have."""
    titles = [title for title in distances[0] if all(title in each for each in distances)]
    return {title: sum(each[title] for each in distances) / len(distances) for title in titles}
