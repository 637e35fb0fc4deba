"""How many configurations a figure holds: more go into further figures, and what is left is said to be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Configurations of a figure that can still be told apart, and figures of one kind and problem.
LARGEST, MOST = 12, 6


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the figures that show the configurations of a problem.

    Attributes:
        labels: the configurations it draws.
        rest: those that no figure draws; their data are beside the last one.
        number, of: which figure it is, counted from 1, of how many.
    """

    labels: tuple[str, ...]
    rest: tuple[str, ...]
    number: int
    of: int

    def title(self, text: str) -> str:
        """The text, with the figure's number where there are several."""
        return text if self.of == 1 else f"{text} ({self.number} of {self.of})"

    def name(self, text: str) -> str:
        """A file's name, the same as ever for the first."""
        return text if self.number == 1 else f"{text}-{self.number}"

    @property
    def note(self) -> str:
        """What the caption adds where configurations are left out."""
        if not self.rest:
            return ""
        return f" {len(self.rest):,} further configurations are not drawn; the data beside this figure hold them."


def parts(labels: Sequence[str]) -> list[Part]:
    """The labels in order, at most `LARGEST` a figure and `MOST` figures."""
    chunks = [tuple(labels[start : start + LARGEST]) for start in range(0, len(labels), LARGEST)]
    rest = tuple(label for chunk in chunks[MOST:] for label in chunk)
    drawn = chunks[:MOST]
    return [
        Part(labels=chunk, rest=rest if number == len(drawn) else (), number=number, of=len(drawn))
        for number, chunk in enumerate(drawn, start=1)
    ]
