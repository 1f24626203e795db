"""To which split something belongs, by a hash of what it is: equal things are never in two splits."""

import numpy as np

BINS = 20
TEST, VAL = 2, 1  # bins of the test and of the validation split; the others are for training


def split_of(rows: np.ndarray) -> np.ndarray:
    """ "train", "val" or "test" (N,) for rows (N, K) of integers, which depends on their values only."""
    factors = np.random.default_rng(2023).integers(1, 2**63, rows.shape[1], np.uint64) | np.uint64(1)
    mixed = (rows.astype(np.uint64) * factors).sum(1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0x9E3779B97F4A7C15)  # of splitmix64 (Steele, Lea & Flood 2014): spreads the bits
    found = (mixed >> np.uint64(40)) % np.uint64(BINS)
    return np.array(["test"] * TEST + ["val"] * VAL + ["train"] * (BINS - TEST - VAL))[found.astype(int)]


def in_order(objects: np.ndarray) -> np.ndarray:
    """Scenes (N, 4, 5) with their objects from left to right, and from top to bottom where these are equal: what the picture
    shows, whichever object is named first. Absent objects come last."""
    column, row = objects[:, :, 3], objects[:, :, 4]
    place = np.where(objects[:, :, 0] < 0, 10_000, 100 * column + row)
    return np.take_along_axis(objects, place.argsort(1, kind="stable")[:, :, None], 1)
