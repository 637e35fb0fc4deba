"""Text that a file takes: what the system hands over as text may hold bytes that are none."""

from __future__ import annotations


def encodable(text: str) -> str:
    r"""The text, with each lone surrogate, which stands for a byte that is no UTF-8, as its number: `caf\udce9`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
