"""Files with a few bytes changed, as disks and strangers make them."""

import random
from collections.abc import Iterator


def damaged(good: bytes, num: int) -> Iterator[bytes]:
    """Some bytes changed, mostly near the beginning, where the structure is; every fifth is cut off too."""
    rng = random.Random(0)
    for index in range(num):
        content = bytearray(good)
        for _ in range(rng.randint(1, 5)):
            content[rng.randrange(min(len(good), 300) if index % 2 else len(good))] = rng.randrange(256)
        yield bytes(content[: rng.randrange(len(content))] if index % 5 == 0 else content)
