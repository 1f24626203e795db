"""Means of named values over many batches, for the lines of a training log."""

import itertools
from collections.abc import Mapping, Sequence

from torch import Tensor

from genarena.ranks import exchange, world

State = dict[str, tuple[float, float]]  # name -> sum of weight times value, sum of weights


class Means:
    """Weighted means since the last `take`. Values stay on their device until then, so that `add` never waits for a GPU."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._weights: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor], weight: float) -> None:
        """weight: number of examples over which the values are means; 1 for a value about one step."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + weight * value.detach().float()
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def take(self) -> dict[str, float]:
        """The means over all values that all ranks have added since the last call; names in the order of their first use.

        All ranks call it together. For a name that only some batches or ranks have, the mean is over those.
        """
        total = _added(exchange.gathered(self._state()))
        self.__init__()
        return {name: value / weight for name, (value, weight) in total.items()}

    def states(self) -> list[State]:
        """The sums of every rank, for a checkpoint. All ranks call it together."""
        return exchange.gathered(self._state())

    def load(self, states: Sequence[State]) -> None:
        """Continue from `states`: each rank from its own. If the number of ranks has changed, rank 0 from all of them."""
        as_before = len(states) == world.size()
        own = states[world.rank()] if as_before else _added(states if world.rank() == 0 else ())
        self._sums = {name: value for name, (value, _) in own.items()}
        self._weights = {name: weight for name, (_, weight) in own.items()}

    def _state(self) -> State:
        return {name: (float(value), self._weights[name]) for name, value in self._sums.items()}


def mean_over(parts: Sequence[Sequence[tuple[int, dict[str, float]]]]) -> dict[str, float]:
    """Means over all examples. parts: per rank, the number of examples and the means of each of its blocks.

    The blocks are summed in an order that does not depend on the number of ranks.
    """
    blocks = [block for turn in itertools.zip_longest(*parts) for block in turn if block is not None]
    num_examples = sum(size for size, _ in blocks)
    names = (blocks or [(0, {})])[0][1]
    return {name: sum(size * terms[name] for size, terms in blocks) / num_examples for name in names}


def minimised(terms: Mapping[str, Tensor], what: str) -> Tensor:
    """terms["loss"]. Raises TypeError, which names `what` as the source, unless `terms` is a dict of scalars with a loss."""
    if not isinstance(terms, Mapping):
        found = f"a {type(terms).__name__}"
    elif any(not isinstance(value, Tensor) or value.dim() for value in terms.values()):
        shown = {name: tuple(value.shape) if isinstance(value, Tensor) else value for name, value in terms.items()}
        found = f"a dict of shapes or values {shown}"
    elif "loss" not in terms:
        found = f"a dict of {', '.join(terms) or 'nothing'}"
    else:
        return terms["loss"]
    raise TypeError(f'{what} gave {found}: expected a dict of scalar tensors, "loss" among them')


def _added(states: Sequence[State]) -> State:
    total: State = {}
    for state in states:
        for name, (value, weight) in state.items():
            before = total.get(name, (0.0, 0.0))
            total[name] = (before[0] + value, before[1] + weight)
    return total
