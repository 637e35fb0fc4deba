"""How a number is written: as many digits as the spread over seeds supports, four where none is known.

A mean ends at the place of the second significant digit of its deviation; a number that was chosen, such as λ, has all
its digits.
"""

from __future__ import annotations

import math
from decimal import Decimal

NONE, INFINITE = "–", "∞"
# In place of a mean over trials one of which ended ok without the number.
NO_NUMBER = "no number"
# Below and above these a number is written with an exponent.
SMALL, LARGE = 1e-3, 1e7
# Significant digits of a number whose spread is not known, and the most of any.
DIGITS, MOST_DIGITS = 4, 6


def number(value: float | None, *, digits: int = DIGITS) -> str:
    """A number with so many significant digits; a dash where there is none."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return INFINITE if value > 0 else f"−{INFINITE}"
    if value == 0:
        return "0"
    size = abs(value)
    if not SMALL <= size < LARGE:
        return exponent(value, digits=max(2, digits - 1))
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text and float(value).is_integer() else text


def exponent(value: float, *, digits: int = 3) -> str:
    """Such as 1.63e-4."""
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(power)}"


def exact(value: float) -> str:
    """A chosen number in all its digits, such as 0.01, 1e-5 or 20,000."""
    if not math.isfinite(value):
        return number(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < LARGE):
        return f"{int(value):,}"
    text = str(float(value))
    if SMALL <= abs(value) < LARGE:
        return text
    return exponent(value, digits=len(Decimal(text).normalize().as_tuple().digits))


def spread(mean: float, deviation: float) -> str:
    """`mean ± deviation`, the deviation with two significant digits and the mean to the same place."""
    if not math.isfinite(mean) or math.isnan(deviation):
        return number(mean)
    if deviation == 0:
        return f"{number(mean)} ± 0"
    if math.isinf(deviation):
        return f"{number(mean)} ± {INFINITE}"
    if not SMALL <= abs(mean) < LARGE:
        return f"{exponent(mean, digits=_supported(mean, deviation))} ± {exponent(deviation, digits=2)}"
    place = 1 - _magnitude(deviation)
    decimals = min(max(0, place), max(0, MOST_DIGITS - 1 - math.floor(math.log10(abs(mean)))))
    if round(deviation, decimals) == 0:
        return f"{mean:,.{decimals}f} ± {exponent(deviation, digits=2)}"
    return f"{mean:,.{decimals}f} ± {deviation:,.{decimals}f}"


def signed(value: float, *, digits: int = 3) -> str:
    """A difference, with its sign."""
    text = number(value, digits=digits)
    return f"+{text}" if value > 0 else text.replace("-", "−", 1) if value < 0 else text


def _supported(mean: float, deviation: float) -> int:
    """Significant digits of a mean that ends where its deviation's second digit stands."""
    if mean == 0:
        return 1
    return min(max(1, _magnitude(mean) - _magnitude(deviation) + 2), MOST_DIGITS)


def _magnitude(value: float) -> int:
    """The place of the first digit, once rounded to two: 1 for 10 and for 9.99."""
    return int(f"{value:.1e}".partition("e")[2])
