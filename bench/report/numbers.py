"""Numbers as people read them: as many digits as the spread over seeds supports."""

from __future__ import annotations

import math

NONE = "–"
# Below and above these a number is written with an exponent.
SMALL, LARGE = 1e-3, 1e7


def number(value: float | None, *, digits: int = 4) -> str:
    """A number with so many significant digits; a dash where there is none."""
    if value is None or math.isnan(value):
        return NONE
    if value == 0:
        return "0"
    size = abs(value)
    if not SMALL <= size < LARGE:
        return exponent(value, digits=digits - 1)
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text and float(value).is_integer() else text


def exponent(value: float, *, digits: int = 3) -> str:
    """Such as 1.63e-4."""
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(power)}"


def spread(mean: float, deviation: float) -> str:
    """`mean ± deviation`, the deviation with two significant digits and the mean to the same place."""
    if math.isnan(mean):
        return NONE
    if math.isnan(deviation):
        return number(mean)
    if deviation == 0:
        return f"{number(mean)} ± 0"
    if not SMALL <= abs(mean) < LARGE:
        return f"{exponent(mean)} ± {exponent(deviation, digits=2)}"
    place = 1 - math.floor(math.log10(deviation))
    decimals = min(max(0, place), max(0, 5 - math.floor(math.log10(abs(mean)))))
    if round(deviation, decimals) == 0:
        return f"{mean:,.{decimals}f} ± {exponent(deviation, digits=2)}"
    return f"{mean:,.{decimals}f} ± {deviation:,.{decimals}f}"


def signed(value: float, *, digits: int = 3) -> str:
    """A difference, with its sign."""
    text = number(value, digits=digits)
    return f"+{text}" if value > 0 else text.replace("-", "−", 1)
