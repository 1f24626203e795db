"""Formats numbers as text."""

import math
import statistics
from collections.abc import Sequence


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
    """With two significant digits of the half-width; with an exponent where both would have too many zeros."""
    if max(abs(value), half_width) < 1e-4 and 0 < half_width < 1e-6:
        return f"{value:.2e} ± {half_width:.1e}"
    if half_width <= 1e-12 * abs(value):
        return f"{number(value)} ± 0"
    return f"{value:,.{_decimals(half_width)}f} ± {rounded(half_width)}"


def rounded(half_width: float) -> str:
    return f"{half_width:,.{_decimals(half_width)}f}"


def _decimals(half_width: float) -> int:
    """The number of decimals that show two significant digits of the half-width."""
    return 0 if half_width >= 10 else min(8, 1 - math.floor(math.log10(half_width)))


def decimals(values: Sequence[float], errors: Sequence[float], step: float | None = None) -> int:
    """The number of decimals of a column.

    They show two significant digits of its smaller uncertainties (the lower quartile of `errors`). Without any, they show four
    significant digits of the middle value, but nothing smaller than `step`, the smallest difference that can occur.
    """
    errors = [error for error in errors if 0.0 < error < math.inf]
    if errors:
        return _decimals(sorted(errors)[(len(errors) - 1) // 4])
    sizes = [abs(value) for value in values if value != 0.0 and math.isfinite(value)]
    wanted = min(8, max(0, 3 - math.floor(math.log10(statistics.median_low(sizes))))) if sizes else 0
    return wanted if not step else min(wanted, max(0, math.ceil(-math.log10(step) - 1e-9)))


def fixed(value: float, places: int | None) -> str:
    """A number with as many decimals as the others of its column; None: see `number`."""
    if places is None or not abs(value) < 1e12:
        return number(value)
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0.0 else text


def fixed_error(error: float, places: int | None) -> str:
    """An uncertainty with the decimals of its column, or more where it would look like zero; `0` is exactly zero."""
    if error == 0.0:
        return "0"
    text = fixed(error, places)
    return text if places is None or text.strip("0.,") else f"{error:.1g}"
