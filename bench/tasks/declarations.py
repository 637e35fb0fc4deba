"""What a task says of itself, and one line for what cannot be meant: a task may be anybody's, with types unchecked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, get_args

import numpy as np

from bench.errors import SweepError, UserError
from bench.tasks.base import Reported, Task, TaskOptions
from bench.tasks.protocol import Protocol
from impls.contract import LOSSES, READOUTS
from impls.errors import nearest

# What is asked of a task that is built, and the least that it may answer.
SIZES = {"length": 1, "input_size": 1, "output_size": 1, "vocabulary_size": 0}
# What is read from a task that is built, so that it may be a property and depend on the options.
OF_A_BUILT_TASK = ("higher_is_better", "reported", "loss", "readout", "encoder_macs_per_step")
CHOICES: Mapping[str, tuple[str, ...]] = {"reported": get_args(Reported), "loss": LOSSES, "readout": READOUTS}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any, *, least: int = 1) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def _are_units(value: Any) -> bool:
    layers = value if isinstance(value, tuple | list) else (value,)
    return bool(layers) and all(map(_is_whole, layers))


KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "summary": (_is_text, "a line of text"),
    "Options": (lambda value: isinstance(value, type) and issubclass(value, TaskOptions), "derived from TaskOptions"),
    "default_protocol": (lambda value: isinstance(value, Protocol), "a Protocol"),
    "default_units": (_are_units, "a tuple of whole numbers, one a layer"),
    "quality_metric": (_is_text, "a name"),
    "higher_is_better": (lambda value: isinstance(value, bool), "True or False"),
    "encoder_macs_per_step": (
        lambda value: isinstance(value, int | float) and math.isfinite(value) and value >= 0,
        "a number of at least 0",
    ),
}


def class_problem(task: type[Task]) -> str:
    """What is wrong with what the class says, in a few words; empty where nothing."""
    absent = [name for name in (*KINDS, *CHOICES) if not hasattr(task, name)]
    if absent := sorted(absent) + sorted(task.__abstractmethods__):
        return f"does not say {', '.join(absent)}; bench/tasks/base.py tells what each is"
    for name in (*KINDS, *CHOICES):
        value = getattr(task, name)
        if isinstance(value, property | cached_property) and name in OF_A_BUILT_TASK:
            continue
        choices = CHOICES.get(name)
        if choices is None:
            fits, wanted = KINDS[name]
            if not fits(value):
                return f"{name} = {value!r} is not {wanted}"
        elif value not in choices:
            return f"{name} = {value!r} is not one of {', '.join(choices)}{nearest(str(value), choices)}"
    return ""


def size(task: Task, name: str) -> int:
    """One of `SIZES`.

    Raises `SweepError` where the task says what is no such number, `UserError` where it cannot tell.
    """
    return _whole(task, name, lambda: getattr(task, name), least=SIZES[name])


def steps_per_epoch(task: Task, *, batch_size: int) -> int:
    """The task's steps of an epoch. Raises as `size` does."""
    what = f"steps_per_epoch at a batch size of {batch_size}"
    return _whole(task, what, lambda: task.steps_per_epoch(batch_size), least=1)


def _whole(task: Task, what: str, ask: Callable[[], object], *, least: int) -> int:
    try:
        value: Any = ask()
    except UserError:
        raise
    except Exception as error:  # whatever the code of another package raises
        raise UserError(f"task {task.name}: {what} cannot be told: {type(error).__name__}: {error}") from error
    if not _is_whole(value, least=least):
        raise SweepError(f"task {task.name}: {what} is {value!r} where a whole number is needed, {least} or more")
    return int(value)
