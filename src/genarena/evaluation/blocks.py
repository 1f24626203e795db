"""Blocks: how many samples or examples one call of a model has. Each block has a seed of its own.

The size is fixed by the shape of the data, so that no random number depends on a setting, a device or the number of ranks.
It also bounds the memory of a call: pictures of 256x256 pixels come in blocks of 10.
"""

from genarena.spec import DataSpec

BLOCK = 100  # most rows of a call
NUMBERS = 2**21  # most numbers of data in a call


def block_size(spec: DataSpec) -> int:
    """Rows (N, *shape) of one call, at least 1."""
    return max(1, min(BLOCK, NUMBERS // spec.num_dims))


def blocks_of(count: int, spec: DataSpec) -> list[slice]:
    """The slices of `count` rows, one per call; the last may be shorter."""
    size = block_size(spec)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
