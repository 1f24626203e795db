"""A bound on the likelihood as what a code costs and what it leaves unsaid: how much of a code a model uses."""

from abc import ABC, abstractmethod

from torch import Tensor

from genarena.likelihood import Parts


class Splits(ABC):
    """A bound in two parts: log p(x) >= -(distortion + rate), E_q[-log p(x|z)] and KL(q(z|x) || p(z))."""

    @abstractmethod
    def parts(self, x: Tensor, y: Tensor | None = None) -> Parts:
        """Of data (N, *shape)."""

    @abstractmethod
    def information(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log q(z_n|x_n) - log 1/N sum_m q(z_n|x_m) of a draw z_n of each of N examples, (N,) nats; of a hierarchy
        that of its top layer.

        Its mean is what z says about which of the N it is from, at most log N, and a lower bound on I(x; z) in expectation."""
