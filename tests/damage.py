"""Damages the content of files, as a failing disk or an attacker would."""

import random
from collections.abc import Iterator


def damaged(good: bytes, num: int) -> Iterator[bytes]:
    """`num` copies with 1 to 5 bytes changed, in half of them only in the first 300 bytes; every fifth is also truncated."""
    rng = random.Random(0)
    for index in range(num):
        content = bytearray(good)
        for _ in range(rng.randint(1, 5)):
            content[rng.randrange(min(len(good), 300) if index % 2 else len(good))] = rng.randrange(256)
        yield bytes(content[: rng.randrange(len(content))] if index % 5 == 0 else content)
