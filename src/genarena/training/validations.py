"""When a run validates: at equal shares of its budget, and three times before the first of them.

With n validations these are the shares 1/8n, 1/4n, 1/2n, and 1/n, 2/n, ..., 1. A model that overfits a small data set is
at its best long before 1/n.
"""

EARLY = (0.125, 0.25, 0.5)  # in units of 1/n


def number(num_even: int) -> int:
    """The number of validations of a run with `num_even` at equal shares. Two that fall on the same batch are one."""
    return num_even + len(EARLY)


def passed(progress: float, num_even: int) -> int:
    """How many of the shares are used up at `progress`, in [0, 1]."""
    position = progress * num_even + 1e-9  # 0.29 * 100 is below 29
    return int(position) + sum(position >= share for share in EARLY)
