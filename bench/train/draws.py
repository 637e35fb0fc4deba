"""What a batch holds beside the task's part of it: random and periodic skips, gate noise, dropout.

They enter as arrays of the batch, so that no framework draws a random number.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.plan.trial import Trial
from bench.tasks.randomness import generator
from impls.contract import Array, Batch
from impls.kinds import skip_cells


def with_draws(batch: Batch, trial: Trial, *, stream: str, step: int) -> Batch:
    """The batch with whatever the trial's cell and protocol read; a pure function of its arguments.

    Dropout is drawn for `stream="train"` alone.
    """
    size, time = batch.inputs.shape[:2]
    drawn: dict[str, Array] = {}

    def uniform(name: str, *shape: int) -> Array:
        draw = generator(seed=trial.seed, stream=f"{name}/{stream}", step=step)
        return np.asarray(draw.random(shape, dtype=np.float32))

    if trial.p_skip > 0:
        drawn["updates"] = (uniform("p_skip", size, time) >= trial.p_skip).astype(np.float32)
    if trial.period > 1:
        steps = (np.arange(time) % trial.period == 0).astype(np.float32)
        drawn["updates"] = np.repeat(steps[np.newaxis], size, axis=0)
    if trial.gate == "bernoulli" and trial.cell in skip_cells():
        drawn["gate_noise"] = uniform("gate_noise", size, time)
    if trial.protocol.dropout > 0 and stream == "train":
        kept = uniform("dropout", size, trial.units[-1]) >= trial.protocol.dropout
        drawn["dropout"] = (kept / (1.0 - trial.protocol.dropout)).astype(np.float32)
    return replace(batch, **drawn) if drawn else batch
