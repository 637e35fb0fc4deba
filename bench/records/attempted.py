"""The attempts at a trial, as its record tells of them: when, where, and how each ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bench.machine.disk import write_atomically

How = Literal["running", "ok", "diverged", "failed", "timeout", "stopped", "out_of_memory", "killed", "lost"]
# What is the machine's, and may go well another time; all else is the trial's or the user's.
OF_THE_MACHINE: tuple[How, ...] = ("out_of_memory", "killed", "lost")
ATTEMPTS = "attempts.json"


class Attempted(BaseModel):
    """One attempt at a trial."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    started: str = Field(description="UTC")
    ended: str = Field(default="", description="UTC; empty where nobody saw it end")
    node: str = Field(default="", description="the machine's name; empty where it was not told")
    device: str = Field(default="", description="cpu, cuda, or which GPU the trial saw")
    how: How = Field(
        default="running",
        description="how it ended: as the record's status, or stopped (by the user), out_of_memory, killed (from "
        "outside) or lost (its node or run was gone); the last three are the machine's, and tried again",
    )
    error: str = Field(default="", description="one line; empty where it ended ok")


Several = TypeAdapter(tuple[Attempted, ...])


class AttemptsFile:
    """`attempts.json` in the folder of a trial that runs: the attempts so far, of which the last may go on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ATTEMPTS

    def read(self) -> tuple[Attempted, ...]:
        """All, in order; none where the file is missing or cut off."""
        try:
            return Several.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return ()

    def begin(self, *, node: str, device: str, earlier: Iterable[Attempted] = ()) -> None:
        """Adds an attempt that starts now, behind the earlier ones."""
        self._write([*earlier, Attempted(started=now(), node=node, device=device)])

    def locate(self, *, node: str, device: str) -> None:
        """Says where the last attempt runs, which was not known when it began; nothing where a record told it since."""
        attempts = self.read()
        if attempts:
            self._write([*attempts[:-1], attempts[-1].model_copy(update={"node": node, "device": device})])

    def take_up(self, *, node: str, device: str) -> bool:
        """Takes the last attempt up, there and now, if it was begun for whoever asks; whether it was.

        Who starts a trial's command elsewhere begins its attempt without a place: the command is to have told of it.
        """
        *earlier, last = self.read() or (None,)
        if last is None or last.how != "running" or last.node:
            return False
        self._write([*earlier, last.model_copy(update={"started": now(), "node": node, "device": device})])
        return True

    def close(self, how: How, error: str) -> None:
        """Says how the last attempt ended, now; what it was told before stays."""
        self._write(closed(self.read(), how=how, error=error))

    def conclude(self, how: How, error: str) -> None:
        """Says how the last attempt ended, now; what it was told before stays, unless that is that it was stopped."""
        self._write(concluded(self.read(), how=how, error=error))

    def remove(self) -> None:
        """Removes the file: a record has taken over what it says."""
        self._path.unlink(missing_ok=True)

    def _write(self, attempts: Iterable[Attempted]) -> None:
        text = json.dumps([attempt.model_dump() for attempt in attempts], indent=2) + "\n"

        def write(temporary: Path) -> None:
            temporary.write_text(text, encoding="utf-8")

        write_atomically(self._path, write)


def concluded(attempts: Sequence[Attempted], *, how: How, error: str) -> tuple[Attempted, ...]:
    """The attempts, the last ended as whoever attended to it says.

    A command that is asked to end can tell that it was stopped, but neither by whom nor why.
    """
    *earlier, last = attempts or (None,)
    if last is None or last.how not in ("running", "stopped"):
        return tuple(attempts)
    return (*earlier, last.model_copy(update={"ended": now(), "how": how, "error": error}))


def closed(attempts: Iterable[Attempted], *, how: How, error: str, ended: str | None = None) -> tuple[Attempted, ...]:
    """The attempts, those that still ran ended so; `ended` is when, UTC, and None is now."""
    end = {"ended": now() if ended is None else ended, "how": how, "error": error}
    return tuple(each.model_copy(update=end) if each.how == "running" else each for each in attempts)


def joined(*several: Iterable[Attempted]) -> tuple[Attempted, ...]:
    """The attempts of several lists by when they started, each once; the list that comes first is believed."""
    known: dict[tuple[str, str], Attempted] = {}
    for attempts in several:
        for attempt in attempts:
            known.setdefault((attempt.started, attempt.node), attempt)
    return tuple(sorted(known.values(), key=lambda attempt: attempt.started))


def now() -> str:
    """The time, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
