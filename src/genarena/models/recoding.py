"""What references of sound give that see the recording where models see its mel alone."""

from abc import ABC, abstractmethod

from torch import Tensor


class Recodes(ABC):
    """A codec, or the recording itself. It is no model of p(x | mel), and has no likelihood: an evaluation gives it x."""

    @abstractmethod
    def recode(self, x: Tensor) -> Tensor:
        """Levels (N, *shape) of examples (N, *shape), after the codec."""
