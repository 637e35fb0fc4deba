"""A trial that goes on where an earlier process left it: checkpoints found, written while it runs, and removed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from bench.records.stretch import Stretch
from bench.train.checkpoint import Checkpoint, Header, newest_checkpoint, remove_checkpoints, write_checkpoint
from bench.train.clocks import Stopwatch
from bench.train.evaluation import Evaluated
from impls.contract import Array, Learner

# The longest that a trial runs without a checkpoint, in seconds: what may be lost.
INTERVAL_SECONDS = 60.0

_LEARNER, _GATHERED = "learner/", "gathered/"
# What is taken apart into its fields.
_RECORDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Evaluated, Stopwatch)}


class Resumption:
    """The checkpoints of one trial in one process.

    Args:
        folder: the trial's.
        trial_id: whose checkpoints are read.
        conditions: what must be as it was (`bench.train.conditions`).
        environment: of this process, for its stretch.
        started: `time.perf_counter()` when the process began.
    """

    def __init__(
        self,
        folder: Path,
        *,
        trial_id: str,
        conditions: Mapping[str, str],
        environment: Mapping[str, Any],
        started: float,
    ) -> None:
        self.folder = folder
        self._trial_id = trial_id
        self._conditions = dict(conditions)
        self._environment = dict(environment)
        self._started = started
        self._before: tuple[Stretch, ...] = ()
        self._start_step = 0
        self._written = time.monotonic()

    def resume(self, gathered: Any, learner: Learner) -> bool:
        """Goes on from the newest checkpoint that can be used, or leaves all as it is; the log tells.

        Args:
            gathered: a dataclass; each field is replaced by what it held when the checkpoint was written.
            learner: is given its state back.
        """
        left_out: list[str] = []
        checkpoint = newest_checkpoint(
            self.folder, trial_id=self._trial_id, conditions=self._conditions, say=left_out.append
        )
        for line in left_out:
            print(line, flush=True)
        if checkpoint is None:
            if left_out:
                print("the trial starts anew", flush=True)
            return False
        header = checkpoint.header
        state = {name: array for name, array in checkpoint.arrays.items() if name.startswith(_LEARNER)}
        learner.load_state({name.removeprefix(_LEARNER): array for name, array in state.items()})
        for name, value in gathered_in(checkpoint).items():
            setattr(gathered, name, value)
        self._before = header.stretches
        self._start_step = header.step
        print(f"the trial goes on after step {header.step}", flush=True)
        return True

    def due(self) -> bool:
        """Whether the last checkpoint is so old that another must be written."""
        return time.monotonic() - self._written >= INTERVAL_SECONDS

    def write(self, gathered: Any, learner: Learner, *, step: int) -> None:
        """Writes a checkpoint after this training step."""
        arrays: dict[str, Array] = {_LEARNER + name: array for name, array in learner.export_state().items()}
        facts = {
            field.name: _apart(getattr(gathered, field.name), _GATHERED + field.name, arrays)
            for field in fields(gathered)
        }
        header = Header(
            trial_id=self._trial_id,
            step=step,
            conditions=self._conditions,
            stretches=self.stretches(step),
            facts=facts,
        )
        write_checkpoint(self.folder, Checkpoint(header=header, arrays=arrays))
        self._written = time.monotonic()

    def stretches(self, step: int) -> tuple[Stretch, ...]:
        """The trial's so far; the last is this process's, which has come to this step."""
        mine = Stretch(
            start_step=self._start_step,
            end_step=step,
            seconds=time.perf_counter() - self._started,
            environment=self._environment,
        )
        return (*self._before, mine)

    def end(self, folder: Path) -> None:
        """Removes the checkpoints from where the trial's record is: it will not be run again."""
        remove_checkpoints(folder)


def gathered_in(checkpoint: Checkpoint) -> dict[str, Any]:
    """What training had gathered when a checkpoint was written, by field."""
    return {name: _joined(fact, checkpoint.arrays) for name, fact in checkpoint.header.facts.items()}


def _apart(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """The value as plain facts, which `_joined` takes; what is long or an array goes to `arrays` under its name.

    Raises `TypeError` for a value of any other kind, so that nothing is kept by halves.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, list):
        if value and all(type(item) is float for item in value):
            arrays[name] = np.asarray(value, np.float64)
            return {"floats": name}
        return {"list": [_apart(item, f"{name}/{number}", arrays) for number, item in enumerate(value)]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: _apart(item, f"{name}/{key}", arrays) for key, item in value.items()}}
    if type(value) in _RECORDS.values():
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return {type(value).__name__: {key: _apart(item, f"{name}/{key}", arrays) for key, item in parts.items()}}
    raise TypeError(f"{name}: a checkpoint cannot hold a {type(value).__name__}")


def _joined(fact: Any, arrays: Mapping[str, Array]) -> Any:
    if not isinstance(fact, dict):
        return fact
    ((kind, content),) = fact.items()
    if kind == "array":
        return arrays[content]
    if kind == "floats":
        return arrays[content].tolist()
    if kind == "list":
        return [_joined(item, arrays) for item in content]
    parts = {key: _joined(item, arrays) for key, item in content.items()}
    return parts if kind == "mapping" else _RECORDS[kind](**parts)
