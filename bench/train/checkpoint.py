"""A trial's checkpoints: what a trial that was stopped goes on from, in files that are whole or refused.

A file `checkpoint-<step>.npz` holds arrays alone: `header`, JSON as bytes; `arrays/<name>`; and `checksum`, over all
others. Nothing in it is ever executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import explain
from bench.machine.disk import write_atomically
from bench.records.stretch import Stretch
from impls.contract import Array
from impls.parameters import checksum as checksum_of

# What is written; a later layout counts one up, and is refused by this one.
FORMAT = 1
# The newest may be damaged: then the one before is used.
KEPT = 2
NAME = re.compile(r"checkpoint-(\d+)\.npz")

_ARRAYS = "arrays/"


class CheckpointError(Exception):
    """A checkpoint that cannot be used: damaged, of another trial, or of a later layout."""


class Header(BaseModel):
    """The plain part of a checkpoint.

    Attributes:
        format: the layout of the file, `FORMAT`.
        trial_id: whose it is.
        step: training steps done.
        conditions: what a run must share with the writer's to go on from it, by name.
        stretches: the trial's so far, the writer's last.
        facts: numbers, texts, and lists and mappings of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    trial_id: str
    step: int = Field(ge=0)
    conditions: dict[str, str]
    stretches: tuple[Stretch, ...]
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a trial stands: plain facts and arrays by name."""

    header: Header
    arrays: Mapping[str, Array]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes `checkpoint-<step>.npz` atomically, and leaves it and the one before it alone in the folder."""
    step = checkpoint.header.step
    path = folder / f"checkpoint-{step}.npz"
    header = json.dumps(checkpoint.header.model_dump(mode="python")).encode()
    content: dict[str, Array] = {"header": np.frombuffer(header, np.uint8)}
    content |= {_ARRAYS + name: np.asarray(array) for name, array in checkpoint.arrays.items()}
    content["checksum"] = np.frombuffer(checksum_of(content).encode(), np.uint8)
    # NumPy's stub takes the first keyword for a flag.
    save: Callable[..., None] = np.savez
    write_atomically(path, lambda temporary: save(temporary, **content))
    # Whoever wrote one of a later step is past: the trial did not go on from it.
    kept = [found for found in checkpoint_paths(folder) if _step_of(found) <= step][:KEPT]
    for found in checkpoint_paths(folder):
        if found not in kept:
            found.unlink(missing_ok=True)
    return path


def read_checkpoint(path: Path, *, trial_id: str) -> Checkpoint:
    """A checkpoint of this trial. Raises `CheckpointError`, in one line, where it cannot be used."""
    try:
        # Opened here, since NumPy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            content: dict[str, Array] = {name: file[name] for name in file.files}
    except Exception as error:  # a damaged file makes the readers of zip and of arrays raise almost anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(f"{path.name} is damaged ({said})") from error
    told = content.pop("checksum", None)
    if told is None or "header" not in content or told.tobytes() != checksum_of(content).encode():
        raise CheckpointError(f"{path.name} is damaged (its content does not have its checksum)")
    try:
        plain = json.loads(content.pop("header").tobytes())
        of_format = plain["format"] if isinstance(plain, dict) else None
        if isinstance(of_format, int) and of_format > FORMAT:
            raise CheckpointError(f"{path.name} was written by a later version (format {of_format}, here {FORMAT})")
        header = Header.model_validate(plain)
    except ValidationError as error:
        raise CheckpointError(explain(error, Header, where=path.name)) from None
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} has no header that can be read ({error})") from None
    if header.trial_id != trial_id:
        raise CheckpointError(f"{path.name} is of another trial, {header.trial_id}")
    return Checkpoint(header=header, arrays={name.removeprefix(_ARRAYS): array for name, array in content.items()})


def newest_checkpoint(
    folder: Path, *, trial_id: str, conditions: Mapping[str, str] | None, say: Callable[[str], None]
) -> Checkpoint | None:
    """The newest checkpoint that this trial can go on from under these conditions, or any; None where there is none.

    `say` is told, a line each, which ones cannot be used and why.
    """
    for path in checkpoint_paths(folder):
        try:
            checkpoint = read_checkpoint(path, trial_id=trial_id)
        except CheckpointError as error:
            say(f"{error}; it is left out")
            continue
        theirs = checkpoint.header.conditions
        ours = theirs if conditions is None else conditions
        changed = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
        if not changed:
            return checkpoint
        differences = "; ".join(f"{name}: {theirs.get(name, 'none')}, now {ours.get(name, 'none')}" for name in changed)
        say(f"{path.name} was written under other conditions ({differences}); it is left out")
    return None


def checkpoint_paths(folder: Path) -> list[Path]:
    """The checkpoints of a trial's folder, the newest first."""
    found = [path for path in folder.glob("checkpoint-*.npz") if NAME.fullmatch(path.name)]
    return sorted(found, key=_step_of, reverse=True)


def remove_checkpoints(folder: Path) -> None:
    """Removes every checkpoint: the trial has its record."""
    for path in checkpoint_paths(folder):
        path.unlink(missing_ok=True)


def _step_of(path: Path) -> int:
    matched = NAME.fullmatch(path.name)
    assert matched is not None
    return int(matched[1])
