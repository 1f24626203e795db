"""What data is: `DataSpec`, `Condition`, and `Batch`, a mini-batch."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

KINDS = ("label", "attributes", "caption", "characters", "mel", "picture")
TEXTS = ("caption", "characters")  # kinds whose y are tokens of a vocabulary
ENCODERS = ("words", "pooled", "minilm")  # how models read captions
MAX_LEVELS = 65_536
MEL_BANDS, MEL_HOP = 80, 256  # of the mel spectrograms that sound is conditional on; samples from one frame to the next


class Batch(NamedTuple):
    """One mini-batch: `x` (N, *shape) of `DataSpec.dtype`; `y` (N, ...) labels or other conditions, or None."""

    x: Tensor
    y: Tensor | None = None


def level_dtype(num_levels: int) -> torch.dtype:
    """The type of integer levels: uint8 up to 256 levels, int32 above."""
    return torch.uint8 if num_levels <= 256 else torch.int32


@dataclass(frozen=True)
class Condition:
    """What a model is conditional on: the meaning of `y`. Raises ValueError for a wrong kind or size.

    kind: label: y (N,) in 0 .. size - 1. attributes: y (N, size), each 0 or 1. caption: y (N, length) token ids in
        0 .. size - 1; 0 is padding, 1 an unknown word. characters: y (N, length), the same for the characters of what is
        spoken. mel: y (N, bands, frames) floats, the log-mel spectrogram of x
        (`statistics/mel.py`). picture: y (N, C, H, W) levels in 0 .. size - 1.
    size: number of labels, attributes, tokens of the vocabulary, bands, or levels.
    shape: of the y of one example. Labels and attributes need none: it follows from the size.
    words: of captions and characters, the text of each token: words[0] is "", words[1] "?". () if they are not known.
    encoder: of captions, how models read them: "words", an encoder of their own; "pooled", its mean over the words; "minilm",
        a frozen encoder of sentences.
    Text without a size has one that only the data set knows (`DataSpec`); no model is made of it.
    """

    kind: str
    size: int
    shape: tuple[int, ...] = ()
    words: tuple[str, ...] = field(default=(), repr=False)
    encoder: str = "words"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"condition={self.kind!r}: expected one of {', '.join(KINDS)}")
        shape = tuple(self.shape) or ((self.size,) if self.kind == "attributes" else ())
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "words", tuple(self.words))
        self._check_text()
        if self.kind in TEXTS and not self.size:
            return
        if self.size < 1 or min(shape, default=1) < 1:
            raise ValueError(f"condition {self.kind}: size={self.size}, shape={shape}: expected sizes of at least 1")
        if len(shape) != {"label": 0, "attributes": 1, "mel": 2, "picture": 3}.get(self.kind, 1):
            raise ValueError(f"condition {self.kind}: its y cannot have shape {shape}")

    def _check_text(self) -> None:
        if self.encoder not in ENCODERS:
            raise ValueError(f"condition {self.kind}: encoder={self.encoder!r}: expected one of {', '.join(ENCODERS)}")
        if self.words and (self.kind not in TEXTS or len(self.words) != self.size):
            raise ValueError(f"condition {self.kind}: {len(self.words)} words for size={self.size}")

    @property
    def dtype(self) -> torch.dtype:
        """Type of y."""
        return {"mel": torch.float32, "picture": torch.int32}.get(self.kind, torch.int64)

    @property
    def null(self) -> float:
        """The value that, in all places of a y, stands for "no condition"; no y of the data has it."""
        return {"label": self.size, "mel": math.nan}.get(self.kind, self.size if self.kind in TEXTS else -1)

    def nulls(self, num: int, device: torch.device | str | None = None) -> Tensor:
        """(num, *shape): no condition."""
        return torch.full((num, *self.shape), self.null, dtype=self.dtype, device=device)

    def is_null(self, y: Tensor) -> Tensor:
        """(N,) whether a row of y is "no condition"."""
        equal = y.isnan() if self.kind == "mel" else y == self.null
        return equal.flatten(1).all(1) if self.shape else equal

    def in_turn(self, num: int, device: torch.device | str | None = None) -> Tensor:
        """(num, ...) a fixed list: labels 0, 1, 2, ... in turn; of attributes, one at a time. Raises ValueError for others."""
        if self.kind not in ("label", "attributes"):
            raise ValueError(f"there is no list of {self.kind} conditions: give y")
        labels = torch.arange(num, device=device) % self.size
        return labels if self.kind == "label" else torch.eye(self.size, dtype=self.dtype, device=device)[labels]

    def check_form(self, y: Tensor, num: int | None = None) -> None:
        """Raise ValueError for a y of another shape or type, or not of `num` examples."""
        if y.dtype != self.dtype or tuple(y.shape[1:]) != self.shape or (num is not None and len(y) != num):
            wanted = f"{self.dtype} ({'N' if num is None else num}, {', '.join(map(str, self.shape))})"
            raise ValueError(f"y is {y.dtype} {tuple(y.shape)}, expected {self.kind} {wanted}")

    def check(self, y: Tensor, num: int | None = None) -> None:
        """The same, and for values out of range."""
        self.check_form(y, num)
        high = 1 if self.kind == "attributes" else self.size - 1
        known = y[~self.is_null(y)]
        if self.kind == "mel":
            if not bool(known.isfinite().all()):
                raise ValueError("y has a mel with numbers that are not finite")
            return
        if known.numel() and (int(known.min()) < 0 or int(known.max()) > high):
            worst = int(known.min()) if int(known.min()) < 0 else int(known.max())
            raise ValueError(f"y has {self.kind} {worst}: expected 0 to {high}")


@dataclass(frozen=True)
class DataSpec:
    """Shape, levels and condition of one example. Raises ValueError for what is not supported.

    shape: (C, H, W) for images, (C, T) for sound, (D,) for vectors.
    num_levels: number of levels of each dimension, 2 to 65,536 (256 for 8-bit images); None for continuous data.
    num_classes: number of labels; None if the set has no labels. num_attributes: the same for attributes.
    condition: what models are conditional on; the words "label" and "attributes" take their size from the two numbers, "mel"
        from the length of the sound, and text gets its vocabulary from the data set. None for unconditional models, also
        if there are labels.
    missing: how entries of continuous training examples come to be hidden, NaN in x; None: x is complete.
    palette: of images of one channel whose levels have no order, the (red, green, blue) of each, 0 to 255: how they are drawn,
        and why a decoder has a probability for each. None: levels are shades.
    sample_rate: of sound and of mels, samples of a second: how it is played and drawn. None: it is not known.
    """

    shape: tuple[int, ...]
    num_levels: int | None = None
    num_classes: int | None = None
    num_attributes: int | None = None
    condition: Condition | str | None = None
    missing: str | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if len(self.shape) not in (1, 2, 3) or min(self.shape) < 1:
            raise ValueError(f"shape={self.shape}: expected (C, H, W), (C, T) or (D,), every size at least 1")
        if self.num_levels is not None and not 2 <= self.num_levels <= MAX_LEVELS:
            raise ValueError(f"num_levels={self.num_levels}: expected 2 to {MAX_LEVELS:,}, or null for continuous data")
        if self.missing is not None and self.num_levels is not None:
            raise ValueError(f"missing={self.missing}: integer levels have no NaN, so only floats can have holes")
        if isinstance(self.condition, str):
            object.__setattr__(self, "condition", self._named(self.condition))
        if self.palette is not None:
            object.__setattr__(self, "palette", tuple(tuple(colour) for colour in self.palette))
            if not self.is_image or self.shape[0] != 1 or len(self.palette) != self.num_levels:
                raise ValueError(
                    f"palette of {len(self.palette)} colours: expected images of one channel and so many levels, not shape "
                    f"{self.shape} with num_levels={self.num_levels}"
                )

    def _named(self, kind: str) -> Condition:
        sizes = {"label": "num_classes", "attributes": "num_attributes"}
        if kind in TEXTS:
            return Condition(kind, 0)
        if kind == "mel":
            return self._mel()
        if kind not in sizes:
            raise ValueError(f"data.condition={kind}: expected label, attributes, caption, characters, mel or null")
        size = getattr(self, sizes[kind])
        if size is None:
            raise ValueError(
                f"data.condition={kind}: no number of {'classes' if kind == 'label' else kind} is known for this data "
                f"set; if it has them, add data.spec.{sizes[kind]}=<number>"
            )
        return Condition(kind, size)

    def _mel(self) -> Condition:
        if not self.is_sound or self.shape[-1] % MEL_HOP:
            raise ValueError(
                f"data.condition=mel: expected sound of one channel, a multiple of {MEL_HOP} samples long, not shape "
                f"{self.shape}"
            )
        return Condition("mel", MEL_BANDS, (MEL_BANDS, self.shape[-1] // MEL_HOP + 1))

    @property
    def dtype(self) -> torch.dtype:
        """The type of x everywhere: uint8 or int32 levels, or float32."""
        return level_dtype(self.num_levels) if self.num_levels else torch.float32

    @property
    def num_dims(self) -> int:
        """Number of scalar dimensions D of one example."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3

    @property
    def is_sound(self) -> bool:
        return len(self.shape) == 2

    @property
    def is_vector(self) -> bool:
        return len(self.shape) == 1

    @property
    def is_drawable(self) -> bool:
        """Whether examples can be drawn: images of levels, points in the plane, sound of one channel, and mels."""
        return (self.is_image and self.is_discrete) or self.shape == (2,) or self.is_playable or self.is_mel

    @property
    def is_playable(self) -> bool:
        """Whether examples are sound that can be written to a WAV file of 16 bits, and is long enough for a spectrogram."""
        heard = self.is_sound and self.num_levels == MAX_LEVELS and self.sample_rate is not None
        return heard and self.shape[0] == 1 and self.shape[1] > 2 * MEL_HOP

    @property
    def is_mel(self) -> bool:
        """Whether examples are log-mel spectrograms (`statistics/mel.py`), silence behind the end of those that are shorter."""
        return self.is_sound and not self.is_discrete and self.shape[0] == MEL_BANDS and self.sample_rate is not None

    @property
    def is_discrete(self) -> bool:
        return self.num_levels is not None

    def pictures(self, x: Tensor) -> Tensor:
        """Images of levels (N, C, H, W) as uint8 of 256 levels: in the colours of the palette, (N, 3, H, W), or as shades."""
        if self.palette is None:
            return (x.long() * 255 // (self.num_levels - 1)).to(torch.uint8)
        colours = torch.tensor(self.palette, dtype=torch.uint8, device=x.device)
        return colours[x[:, 0].long()].movedim(-1, 1)

    def require_image(self, model: str) -> None:
        """Raise ValueError unless the data is images of integer levels. model: a name, for the message."""
        if not self.is_image or not self.is_discrete:
            raise self._other("images of integer levels", model)

    def require_sound(self, model: str) -> None:
        """Raise ValueError unless the data is sound of one channel and integer levels. model: a name, for the message."""
        if not self.is_sound or not self.is_discrete or self.shape[0] != 1:
            raise self._other("sound of one channel and integer levels", model)

    def require_mel(self, model: str) -> None:
        """Raise ValueError unless the data is log-mel spectrograms. model: a name, for the message."""
        if not self.is_mel:
            raise self._other("mel spectrograms", model)

    def _other(self, wanted: str, model: str) -> ValueError:
        held = f"shape {self.shape} with num_levels={self.num_levels}"
        return ValueError(f"{model} models {wanted}, and this data set has {held}")
