"""The errors that both implementations raise for a caller's mistake, with the same words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CellError(ValueError):
    """A cell or layer was built or called with something it cannot take."""


class ParameterError(ValueError):
    """Parameters whose names or shapes do not fit the cell they are meant for."""


def no_kernels(cell: str) -> CellError:
    """What the fast engine says of a kind of cell that it was not written for."""
    return CellError(f"engine='fast' has no kernels for cell {cell!r}; use engine='reference'")


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the most similar of `words`, or nothing where none is similar."""
    matches = difflib.get_close_matches(str(word), list(words), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
