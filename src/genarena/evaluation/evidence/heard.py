"""Sound that models make of the mels of test examples, beside these examples."""

from typing import Any

import torch
from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.likelihood import to_amplitudes
from genarena.metrics.base import Unavailable
from genarena.spec import MEL_HOP
from genarena.statistics.heard import Heard
from genarena.statistics.resampling import SPEECH, to_speech_rate

NEEDED = "needs a model of sound given its mel (data.condition=mel)"
LEAST = 1.0  # seconds of an utterance: measures of speech average over some tenths of a second, and their authors over several


class HeardSound(Kind):
    """Copy synthesis: sample i was drawn for the mel of example i of the split."""

    @piece
    def heard(self, num_samples: int) -> Heard:
        """The pairs, a segment each. Raises Unavailable, before samples are drawn, for other models and other data."""
        spec = self.subject.data.spec
        if spec.condition is None or spec.condition.kind != "mel":
            raise Unavailable(NEEDED)
        if not spec.is_playable:
            raise Unavailable(f"needs 16-bit sound of one channel, in segments of more than {2 * MEL_HOP} samples")
        made = self.get("fake")
        real = self.subject.held_out.x[: len(made)]
        return Heard(*(_amplitudes(levels, spec.num_levels) for levels in (real, made)), spec.sample_rate)

    @piece
    def utterances(self, heard: Heard) -> list[Heard]:
        """One pair each, at 16,000 Hz and at least a second long: neighbouring segments of a clip are joined, of real sound and
        of samples alike. They are neighbours where the last frame of a mel is the first of the next."""
        joined = self._joined(heard)
        found = [pair for pair in joined if pair.seconds >= LEAST]
        if not found:
            longest = max(pair.seconds for pair in joined)
            raise Unavailable(
                f"needs speech of at least {LEAST:g} s; neighbouring segments of the split make up {longest:.2f} s at most"
            )
        return [Heard(*(to_speech_rate(sound, heard.sample_rate) for sound in pair[:2]), SPEECH) for pair in found]

    def _joined(self, heard: Heard) -> list[Heard]:
        """The same sound in the longest pieces that there are, (1, T) each."""
        mels = self.subject.held_out.mels[: len(heard.made)]
        apart = ~(mels[:-1, :, -1] == mels[1:, :, 0]).all(1)
        sizes = torch.tensor([0, *(apart.nonzero().flatten() + 1).tolist(), len(mels)]).diff().tolist()
        pairs = zip(heard.real.split(sizes), heard.made.split(sizes), strict=True)
        return [Heard(real.reshape(1, -1), made.reshape(1, -1), heard.sample_rate) for real, made in pairs]

    @classmethod
    def asks(cls, piece: str, settings: Any, spec: Any) -> list[str]:
        return ["fake"] if piece == "heard" else []

    def facts(self, piece: str) -> dict[str, Any]:
        """`pairs`: what is compared. `joined`: how utterances came about, and how many segments are in none."""
        heard = self.get("heard")
        if piece == "heard":
            return {"pairs": f"a sample and the {self.subject.settings.split} segment whose mel it was drawn for"}
        used = sum(pair.seconds for pair in self.get("utterances"))
        return {
            "joined": "neighbouring segments of a clip",
            "sample_rate": SPEECH,
            "seconds_heard": used,
            "seconds_left_out": max(0.0, len(heard.made) * heard.seconds - used),
        }


def _amplitudes(levels: Tensor, num_levels: int) -> Tensor:
    """(N, T)."""
    return to_amplitudes(levels[:, 0].double(), num_levels)
