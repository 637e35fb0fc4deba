"""What XLA compiles of a learner's step: all of it as one program, or its blocks of rounds alone."""

from __future__ import annotations

import math

import tensorflow as tf

from impls.contract import ModelSpec
from impls.tensorflow.engines.rounds.jumps import decision_of
from impls.tensorflow.engines.rounds.positions import Program, kept_leaves

# Up to here one program is faster however few updates there are; beyond, it spends more on clearing records of
# rounds that never come than it saves in launches (docs/engines.md).
MOST_RECORDED_BYTES = 64 * 2**20


def is_one_program(engine: str, spec: ModelSpec, *, device: str, batch_size: int, steps: int, training: bool) -> bool:
    """Whether a step of these sizes is compiled as one program, the optimizer's part too.

    A reference step is: without XLA a loop over time costs many times as much. A fast step is where there is no
    gradient, or the records of as many rounds as there are steps are small. Keras compiles those of its own layers that
    are not cuDNN's.
    """
    if engine == "native":
        return device == "cpu" or spec.cell.kind.name != "lstm"
    return (
        engine != "fast"
        or not training
        or recorded_bytes(spec, batch_size=batch_size, steps=steps) <= MOST_RECORDED_BYTES
    )


def recorded_bytes(spec: ModelSpec, *, batch_size: int, steps: int) -> int:
    """What the fast engine keeps for the gradient where every sequence is updated at every step."""
    program = Program(
        spec=spec.cell,
        decision=decision_of(spec.cell, updates=None),
        keep=True,
        every_step=spec.readout != "last",
        whole=True,
    )
    leaves = tf.nest.flatten(kept_leaves(program, rounds=steps, batch=batch_size, dtype=tf.as_dtype(spec.dtype)))
    return sum(math.prod(leaf.shape) * leaf.dtype.size for leaf in leaves)
