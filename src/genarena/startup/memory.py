"""Keeps the memory that tensors free, so that the next ones need not ask the system again. Nothing here imports torch.

A training step allocates and frees the same tensors over and over. By default glibc returns large freed blocks to Linux, and
the pages of the next block are cleared one by one when they are first written: up to a tenth of a step of models with large
activations. The limits here are those up to which freed memory stays with the process. Its peak does not change.
"""

import ctypes
import os
import platform

OF_THE_USER = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
LIMITS = {-3: 32 * 2**20, -1: 2**31 - 1}  # of malloc.h: M_MMAP_THRESHOLD at its largest, M_TRIM_THRESHOLD; bytes


def keep_freed() -> bool:
    """Raise the limits. False: not glibc, or the environment sets limits of its own."""
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in OF_THE_USER):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return min(mallopt(which, limit) for which, limit in LIMITS.items()) == 1
