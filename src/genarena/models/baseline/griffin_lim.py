"""Sound from a mel without learning: phases that fit its magnitudes (Griffin & Lim 1984, doi 10.1109/TASSP.1984.1164317).

Each step keeps the magnitudes and takes the phases of the spectrogram of the sound that they make together. A model of sound
that sounds worse is worth nothing. It reproduces the mel itself nearly without error, whatever it sounds like, so distances of
mels are no measure of it.

Differs from the paper: the magnitudes are those of the mel (`statistics/mel_inversion.py`), and steps have the momentum of
Perraudin, Balazs & Sondergaard 2013 (doi 10.1109/WASPAA.2013.6701851).
"""

import torch
from torch import Tensor

from genarena.likelihood import Likelihood, from_unit, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.vocoding import Vocodes
from genarena.options.values import Count, NonNegative
from genarena.spec import Batch, DataSpec
from genarena.statistics import mel, mel_inversion
from genarena.training.module import Training

UPDATES = 32  # of the magnitudes


class GriffinLim(GenerativeModel, Vocodes):
    """c <- |X| exp(i arg G(c)) with momentum, G(c) = STFT(ISTFT(c)), from the phases of white noise; x = ISTFT(c).

    num_steps: 60, as usual. Raises ValueError for another momentum than 0 to below 1, and for data without a sample rate.
    """

    family = "baseline"
    takes_sound = True
    takes_images = False
    conditional = True
    condition_kinds = ("mel",)
    needs_condition = True
    likelihood = Likelihood.NONE
    paper = "10.1109/TASSP.1984.1164317"
    max_epochs = 0
    usual_sigma = None
    reach = None

    def __init__(
        self, spec: DataSpec, training: Training | None = None, num_steps: Count = 60, momentum: NonNegative = 0.99
    ) -> None:
        super().__init__(spec, training)
        if spec.sample_rate is None:
            raise ValueError("griffin_lim: the data does not say its sample_rate")
        if spec.shape[1] <= mel.WINDOW // 2:
            raise ValueError(f"griffin_lim: {spec.shape[1]} samples, and it needs more than {mel.WINDOW // 2}")
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum={momentum}: expected at least 0 and below 1")
        self.num_steps, self.momentum = num_steps, momentum

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        if y is None or bool(self.spec.condition.is_null(y).any()):
            raise ValueError("y=None: griffin_lim makes the sound of a mel, so y is needed")
        self.spec.condition.check(y, num_samples)
        noise = torch.randn(num_samples, 1, self.spec.shape[1], device=self.device)
        return from_unit(self.vocode(y, noise), self.spec.num_levels)

    @torch.no_grad()
    def vocode(self, mel: Tensor, noise: Tensor) -> Tensor:
        length, levels = noise.shape[2], self.spec.num_levels
        magnitudes = mel_inversion.magnitudes(mel, self.spec.sample_rate, UPDATES).mT.float()  # (N, 513, frames)
        phases, before = torch.polar(torch.ones_like(magnitudes), self._stft(noise[:, 0]).angle()), None
        for _ in range(self.num_steps):
            rebuilt = self._stft(self._istft(magnitudes * phases, length))
            moved = rebuilt if before is None else rebuilt - self.momentum / (1.0 + self.momentum) * before
            phases, before = moved / moved.abs().clamp_min(1e-16), rebuilt
        x = self._istft(magnitudes * phases, length)[:, None]
        return to_unit((x + 1.0) * (levels / 2), levels)

    @property
    def nfe(self) -> int:
        """Steps per sample: there is no network."""
        return self.num_steps

    def _stft(self, x: Tensor) -> Tensor:
        """(N, 513, frames) complex of x (N, T)."""
        return torch.stft(x, mel.WINDOW, mel.HOP, window=mel.window(x), return_complex=True)

    def _istft(self, spectrum: Tensor, length: int) -> Tensor:
        """(N, length) of (N, 513, frames) complex."""
        return torch.istft(spectrum, mel.WINDOW, mel.HOP, window=mel.window(spectrum.real), length=length)
