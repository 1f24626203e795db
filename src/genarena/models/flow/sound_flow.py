"""What all flows of sound share: the way from levels to noise and back, sound of any length, and the sampler of vocoders.

Denoiser: Prenger, Valle & Catanzaro's reference code of WaveGlow (github.com/NVIDIA/waveglow, denoiser.py). A flow hums: at
temperature 0 its sound is not silent. The spectrum of that hum is subtracted from the magnitudes of every sound. Differs
from it: the hum is that of the mean mel of speech, where the code has log-magnitudes of 0, which are louder than speech.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.likelihood import cell_to_unit, from_amplitudes, to_amplitudes
from genarena.models.flow.bijection import Chain
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.dequantisation import UniformDequantisation
from genarena.models.flow.sound import Amplitudes, Conditioned, Flatten
from genarena.models.sampler import Sampler, Temperature
from genarena.models.vocoding import Vocodes
from genarena.nets.conditioning import MEL_MEAN
from genarena.nets.whitening import Whitening
from genarena.options.values import NonNegative
from genarena.spec import MEL_BANDS, MEL_HOP, DataSpec
from genarena.training.module import Training

WINDOW = 1024  # samples of the denoiser's Hann window, every quarter of it
HUM = 64  # frames from which the spectrum of the hum is taken


@dataclass(frozen=True)
class Synthesis(Sampler):
    """z ~ N(0, T^2 I) as of `Temperature`, and `denoiser` times the spectrum of the hum is subtracted from each sound."""

    temperature: NonNegative = 0.6
    denoiser: NonNegative = 0.0

    def code(self, num_samples: int, latent_dim: int, device: torch.device) -> Tensor:
        """z, (num_samples, latent_dim)."""
        return Temperature(self.temperature).code(num_samples, latent_dim, device)


class SoundFlow(NormalisingFlow, Vocodes):
    """log p(x | mel) of 16-bit sound: levels to amplitudes, `whitening` if there is one, `inner`, and z as a noise as
    long as the sound. `whitening` may depend on the whole sound, `inner` on places near by."""

    takes_sound = True
    takes_images = False
    condition_kinds = ("mel",)
    samplers = Temperature | Synthesis
    usual_sigma = 0.6  # Prenger, Valle & Catanzaro 2018, sec. 3.3

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None,
        inner: Conditioned,
        sampler: Temperature | Synthesis,
        whitening: Whitening | None = None,
    ) -> None:
        outer = Chain(Amplitudes()) if whitening is None else Chain(Amplitudes(), whitening)
        flow = Chain(outer, inner, Flatten())
        super().__init__(spec, training, flow, UniformDequantisation(spec), sampler)
        if whitening is not None:
            self.usual_sigma = 1.0  # noise excites a filter: with less of it the sound is quieter, and no clearer

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.without_hum(super().sample(num_samples, y), getattr(self.sampler, "denoiser", 0.0))

    @torch.no_grad()
    def vocode(self, mel: Tensor, noise: Tensor) -> Tensor:
        if self.conditioning is None:
            raise ValueError("this model was trained without mels: train it with data.condition=mel")
        _, inner, flat = self.flow.bijections
        return inner.inverse(flat.inverse(noise[:, 0]), self.conditioning.frames(mel))

    @torch.no_grad()
    def assembled(self, parts: Tensor, mel: Tensor) -> Tensor:
        u = self.flow.bijections[0].inverse(parts, self.conditioning.frames(mel))
        return cell_to_unit(u, self.spec.num_levels)

    @torch.no_grad()
    def without_hum(self, x: Tensor, strength: float) -> Tensor:
        if not strength or x.is_floating_point():  # floats are broken samples
            return x
        levels, hum = self.spec.num_levels, self._hum().to(x.device)
        clean = denoised(to_amplitudes(x[:, 0], levels), to_amplitudes(hum, levels), strength)
        return from_amplitudes(clean[:, None], levels)

    def _hum(self) -> Tensor:
        """(1, S) levels: the sound of no noise and a mel that is that of speech on average."""
        if self.conditioning is None:
            return self.decode(torch.zeros(1, self.spec.num_dims, device=self.device))[:, 0]
        mel = torch.full((1, MEL_BANDS, HUM + 1), MEL_MEAN, device=self.device)
        u = self.flow.inverse(mel.new_zeros(1, HUM * MEL_HOP), self.conditioning.frames(mel))
        return u[:, 0] * self.spec.num_levels


def denoised(x: Tensor, hum: Tensor, strength: float) -> Tensor:
    """Sounds x (N, T) without `strength` times the mean magnitudes of hum (1, S); phases stay. Sound shorter than half a window
    stays as it is."""
    if min(x.shape[1], hum.shape[1]) <= WINDOW // 2:
        return x
    window = torch.hann_window(WINDOW, device=x.device, dtype=x.dtype)
    spectrum = torch.stft(x, WINDOW, WINDOW // 4, window=window, return_complex=True)
    floor = (
        torch.stft(hum.to(x.dtype), WINDOW, WINDOW // 4, window=window, return_complex=True).abs().mean(2, keepdim=True)
    )
    magnitude = spectrum.abs()
    kept = (magnitude - strength * floor).clamp_min(0.0) / magnitude.clamp_min(1e-12)
    return torch.istft(spectrum * kept, WINDOW, WINDOW // 4, window=window, length=x.shape[1])
