"""Formats numbers as text."""

import math


def number(value: float) -> str:
    """A number with four significant digits and thousands separators; with an exponent only below 1e-4."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if float(value).is_integer() and abs(value) >= 100:
        return f"{int(value):,}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.{max(0, min(6, 3 - math.floor(math.log10(abs(value)))))}f}"


def prefixed(value: float) -> str:
    """Three significant digits, with an SI prefix from a thousand: 1795464 is `1.8 M`. No milli: `m` looks like minutes."""
    if abs(value) < 1 or not math.isfinite(value):
        return f"{value:.3g}"
    power = min(6, math.floor(math.log10(abs(value)) / 3 + 1e-12))
    scaled = value / 1000.0**power
    if abs(float(f"{scaled:.3g}")) >= 1000 and power < 6:
        power, scaled = power + 1, scaled / 1000.0
    return f"{float(f'{scaled:.3g}'):g} {' kMGTPE'[power]}".rstrip()


def with_interval(value: float, half_width: float) -> str:
    if half_width <= 1e-12 * abs(value):
        return f"{number(value)} ± 0"
    return f"{value:,.{_decimals(half_width)}f} ± {rounded(half_width)}"


def rounded(half_width: float) -> str:
    return f"{half_width:,.{_decimals(half_width)}f}"


def _decimals(half_width: float) -> int:
    """The number of decimals that show two significant digits of the half-width."""
    return 0 if half_width >= 10 else min(8, 1 - math.floor(math.log10(half_width)))
