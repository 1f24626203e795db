"""From conditions y to vectors: the only place that knows what kinds of conditions there are.

    c = [ one-hot label, or attributes as -1 and 1, or the vector of a caption ; 1 where there is no condition ]

A linear map of c without bias is an embedding of labels. Each network has its own map, so that its norm can be
limited, or it can start at zero. A condition between others is a mean of their vectors (`mixture`). The last entry exists
only with `dropout` > 0: then training examples lose their condition with that probability, and the network learns p(x)
beside p(x | y) (Ho & Salimans 2022, arXiv 2207.12598). Guidance of strength s combines the two outputs: s = 0 is
unconditional, s = 1 conditional.

Captions are read by an encoder (`Condition.encoder`). It gives the vector of the caption and a state per word, and the context
is one tensor (N, 1 + L, F): the vector first, then the states, zero where there is no word. Networks with attention look at the
states; all others read the vector (`pooled`). A vector alone cannot say well which colour belongs to which shape.

A mel spectrogram stays one: the context is (N, F, frames), each number with mean 0 and deviation 1 on speech, zero and with a
last band of ones where there is no condition. Only networks of sound read it (`condition_kinds = ("mel",)`). Characters stay
tokens (N, L), for networks that say them one after the other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets import minilm, text_encoder
from genarena.nets.text_encoder import PADDING
from genarena.spec import Condition

VECTORS = ("label", "attributes")  # kinds that become one vector, of as many entries as their size
KINDS = (*VECTORS, "caption")  # those that all networks read
MEL_MEAN, MEL_STD = -5.5, 2.1  # of log-mel spectrograms of speech (Mehta et al. 2024, arXiv 2309.03199: LJ Speech)


class Conditioning(nn.Module):
    """Conditions y to vectors (N, out_features), to a vector and states (N, 1 + L, out_features) of captions, or to frames
    (N, out_features, frames) of mels.

    Only an encoder of captions has weights. dropout: share of the training examples that lose their condition, below 1.
    Raises ValueError for another share or kind, and for captions of a data set that has none.
    """

    def __init__(self, condition: Condition, dropout: float = 0.0) -> None:
        super().__init__()
        if condition.kind not in (*KINDS, "characters", "mel"):
            raise ValueError(f"condition {condition.kind}: this model takes {', '.join(KINDS)}, characters, mel")
        if not condition.size:
            raise ValueError("data.condition=caption: this data set has no captions")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(
                f"condition_dropout={dropout}: expected at least 0 and below 1, else no condition is ever seen"
            )
        self.condition, self.dropout = condition, dropout
        self.out_features = num_features(condition, dropout)
        self.encoder = _encoder(condition) if condition.kind == "caption" else None

    def forward(self, y: Tensor | None, num: int, device: torch.device | None = None) -> Tensor:
        """y (N, ...), or None: no condition for all `num` examples; or a mixture, as `mixture` gives it. Raises ValueError if y
        does not fit, and for no condition where the network has not learned it."""
        condition = self.condition
        if y is None:
            self._require_null("y=None")
            y = condition.nulls(num, device)
        elif not torch.compiler.is_compiling():
            self.check(y, num)
        if self._is_mixture(y):
            return self._mixed(y)
        if self.training and self.dropout:
            lost = torch.rand(num, device=y.device) < self.dropout
            y = torch.where(lost.view(-1, *[1] * (y.dim() - 1)), condition.nulls(1, y.device), y)
        null = condition.is_null(y)
        if not self.dropout and null.any():
            self._require_null("a null condition")
        return self._encoded(y, null)

    def check(self, y: Tensor, num: int) -> None:
        """Raise ValueError unless y are conditions of `num` examples, or a mixture. Values are looked at on the CPU alone:
        elsewhere that waits for the device."""
        if self._is_mixture(y):
            self._check_mixture(y, num)
        elif y.device.type == "cpu":
            self.condition.check(y, num)
        else:
            self.condition.check_form(y, num)

    def frames(self, mel: Tensor) -> Tensor:
        """(N, out_features, frames) of mels (N, bands, frames) of any length."""
        return self._encoded(mel, torch.zeros(len(mel), dtype=torch.bool, device=mel.device))

    def _encoded(self, y: Tensor, null: Tensor) -> Tensor:
        if self.encoder is not None:
            return self._read(torch.where(null[:, None], PADDING, y), null)
        if self.condition.kind == "characters":
            return y
        if self.condition.kind == "mel":
            frames = torch.where(null[:, None, None], 0.0, (y - MEL_MEAN) / MEL_STD)
            missing = null[:, None, None].to(y.dtype).expand(-1, 1, y.shape[2])
            return torch.cat([frames, missing], 1)[:, : self.out_features]
        if self.condition.kind == "label":
            return F.one_hot(y, self.condition.size + 1)[:, : self.out_features].float()
        values = torch.where(null[:, None], 0.0, 2.0 * y.float() - 1.0)
        return torch.cat([values, null[:, None].float()], 1)[:, : self.out_features]

    def _read(self, tokens: Tensor, null: Tensor) -> Tensor:
        vector, states = self.encoder(tokens)
        vector = torch.cat([vector, null[:, None].to(vector.dtype)], 1)[:, : self.out_features]
        if not has_states(self.condition):
            return vector
        return torch.cat([vector[:, None], F.pad(states, (0, self.out_features - states.shape[2]))], 1)

    def _is_mixture(self, y: Tensor) -> bool:
        return y.is_floating_point() and self.condition.kind != "mel"

    def _check_mixture(self, y: Tensor, num: int) -> None:
        if self.encoder is not None:
            raise ValueError(f"y is {y.dtype}: captions are tokens, and there is no mixture of them")
        if y.shape != (num, self.condition.size):
            raise ValueError(f"y is {y.dtype} {tuple(y.shape)}: expected a mixture ({num}, {self.condition.size})")

    def _mixed(self, y: Tensor) -> Tensor:
        vectors = y if self.condition.kind == "label" else 2.0 * y - 1.0
        return F.pad(vectors.float(), (0, self.out_features - self.condition.size))

    def _require_null(self, what: str) -> None:
        if not self.dropout:
            raise ValueError(
                f"{what}: this model is conditional on {self.condition.kind} and was trained without dropout of conditions, "
                "so y is needed"
            )


def given(conditioning: Conditioning | None, num: int, y: Tensor | None) -> Tensor | None:
    """Conditions of `num` examples; None for an unconditional model. Raises ValueError for a y that does not fit."""
    if y is None or conditioning is None:
        return None
    conditioning.check(y, num)
    return y


def in_parts(
    conditioning: Conditioning | None, num: int, at_once: int, y: Tensor | None
) -> list[tuple[int, Tensor | None]]:
    """`num` examples in parts of at most `at_once`: how many, and their conditions. Raises ValueError as `given` does."""
    sizes = [min(at_once, num - first) for first in range(0, max(1, num), at_once)]
    y = given(conditioning, num, y)
    return list(zip(sizes, [None] * len(sizes) if y is None else y.split(at_once), strict=True))


def mixture(condition: Condition, y: Tensor) -> Tensor:
    """Conditions y (N, ...) as shares of the labels, or as attributes from 0 to 1: (N, size) floats, which can be averaged.

    A model takes them in place of y: its vectors c are then averaged too (Brock, Donahue & Simonyan 2018, arXiv 1809.11096,
    go from class to class so).
    """
    return F.one_hot(y, condition.size).float() if condition.kind == "label" else y.float()


def num_features(condition: Condition | None, dropout: float = 0.0) -> int:
    """Entries of c; 0 for an unconditional model."""
    if condition is None:
        return 0
    features = {"words": text_encoder.FEATURES, "pooled": text_encoder.FEATURES, "minilm": minilm.FEATURES}
    size = features[condition.encoder] if condition.kind == "caption" else condition.size
    return size + (dropout > 0.0)


def has_states(condition: Condition | None) -> bool:
    """Whether the context has a state per word beside the vector."""
    return condition is not None and condition.kind == "caption" and condition.encoder != "pooled"


def sizes(condition: Condition | None, dropout: float = 0.0) -> tuple[int, bool]:
    """What a network of `conf/net` is told of its context: `num_features`, and `has_states`."""
    return num_features(condition, dropout), has_states(condition)


def pooled(context: Tensor) -> Tensor:
    """The vector (N, F) of a context (N, F) or (N, 1 + L, F)."""
    return context if context.dim() == 2 else context[:, 0]


def states(context: Tensor) -> Tensor:
    """The states (N, L, F) of a context (N, 1 + L, F)."""
    return context[:, 1:]


def _encoder(condition: Condition) -> nn.Module:
    if condition.encoder == "minilm":
        return minilm.MiniLM(condition.words)
    return text_encoder.WordEncoder(condition.size, *condition.shape)


def conditioning(condition: Condition | None, dropout: float = 0.0) -> Conditioning | None:
    """None for an unconditional model."""
    return Conditioning(condition, dropout) if condition else None


class WithContext(nn.Sequential):
    """Layers in sequence; the vector of the context, if there is one, is appended to the input (N, D)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x if context is None else torch.cat([x, pooled(context)], 1))


class ContextLinear(nn.Linear):
    """sqrt(F) W c without bias, which starts at zero; c is the vector of a context. A one-hot vector has norm one, and so has
    that of a caption: with the factor, a step of Adam changes the output as much as with inputs of variance one."""

    def __init__(self, context_features: int, out_features: int) -> None:
        super().__init__(context_features, out_features, bias=False)
        nn.init.zeros_(self.weight)

    def forward(self, context: Tensor) -> Tensor:
        return self.in_features**0.5 * super().forward(pooled(context))

    def added_to(self, bias: Tensor, context: Tensor) -> Tensor:
        """bias (out_features,) + what `forward` gives, in one step; of the type of the bias, also under autocast."""
        return torch.addmm(bias, pooled(context), self.weight.T, alpha=self.in_features**0.5).to(bias.dtype)


def linear(context_features: int, out_features: int) -> ContextLinear | None:
    """None for an unconditional network."""
    return ContextLinear(context_features, out_features) if context_features else None
