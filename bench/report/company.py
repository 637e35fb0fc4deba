"""In whose company a trial ran: alone on its machine or beside others, whose times are not each other's."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

ALONE, NOT_TOLD = "alone", "not told"
MIXED = "mixed"
# Behind a mean of trials beside different load, on unlike machines, or with unlike versions of their framework.
MARK = " †"
MIXED_TIMES = (
    "† a mean over trials that ran beside different load (other trials, or processes a core), on unlike machines, or "
    "with unlike versions of their framework: not to be compared."
)


def company(beside: float | None) -> str:
    """What a record's `beside` says: how many other trials ran on the machine at the same time, at most."""
    if beside is None or pd.isna(beside):
        return NOT_TOLD
    return f"beside {beside:.0f}" if beside > 0 else ALONE


def common_company(companies: Iterable[str]) -> str:
    """The company of several trials; `mixed` where it is not the same, and nothing for none."""
    there = list(dict.fromkeys(companies))
    return MIXED if len(there) > 1 else "".join(there)
