"""A learner's state: all that its next training step depends on, under canonical names.

parameters/<name>   the parameter itself
adam_m/<name>       Adam's first moment, in the parameter's shape and type
adam_v/<name>       Adam's second moment, likewise
steps               training steps done, an integer of shape []
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from impls.contract import Array, Parameters, State
from impls.errors import ParameterError, nearest
from impls.parameters import in_order

Moments = tuple[Array, Array]
MOMENTS = ("adam_m", "adam_v")


def join_state(parameters: Parameters, moments: Sequence[Moments], *, steps: int) -> State:
    """The state of these parameters, their moments (m and v, in the parameters' order), and steps done."""
    state = {f"parameters/{name}": value for name, value in parameters.items()}
    for number, moment in enumerate(MOMENTS):
        state |= {f"{moment}/{name}": pair[number] for name, pair in zip(parameters, moments, strict=True)}
    return state | {"steps": np.asarray(steps, np.int64)}


def split_state(
    state: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], *, dtype: str
) -> tuple[Parameters, list[Moments], int]:
    """What `join_state` joined, in the order of `shapes`: the parameters' names and shapes.

    Raises `ParameterError` unless the state has exactly these names and shapes, `dtype`, and an integer of steps.
    """
    needed = {f"{part}/{name}": shape for part in ("parameters", *MOMENTS) for name, shape in shapes.items()}
    needed["steps"] = ()
    for name in state:
        if name not in needed:
            raise ParameterError(f"a state of this learner has no {name!r}{nearest(name, needed)}")
    for name, shape in needed.items():
        if name not in state:
            raise ParameterError(f"a state of this learner needs {name!r} {list(shape)}, which is not given")
        given = np.asarray(state[name])
        if given.shape != shape:
            raise ParameterError(
                f"a state of this learner: {name!r} has shape {list(given.shape)} where {list(shape)} is needed"
            )
        wanted = "int64" if name == "steps" else dtype
        if given.dtype.name != wanted:
            raise ParameterError(
                f"a state of this learner: {name!r} has type {given.dtype.name} where {wanted} is needed"
            )
    steps = int(state["steps"])
    if steps < 0:
        raise ParameterError(f"a state of this learner: 'steps' is {steps}, and cannot be negative")
    m, v = MOMENTS
    # Before anything is replaced, which an array that a framework does not take would leave half done.
    arrays = {name: in_order(state[name]) for name in needed}
    return (
        {name: arrays[f"parameters/{name}"] for name in shapes},
        [(arrays[f"{m}/{name}"], arrays[f"{v}/{name}"]) for name in shapes],
        steps,
    )
