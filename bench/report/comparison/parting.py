"""Where the two trials of a pair part: the first evaluation at which their curves differ."""

from __future__ import annotations

import numpy as np
import pandas as pd

# Relative; rounding in float32 stays far below it until it decides an update or grows with training.
TOLERANCE = 1e-3
# What a row of a curve says of training so far, and of validation.
LOSSES = ("train_loss", "loss")


def parting_step(left: pd.DataFrame, right: pd.DataFrame) -> float:
    """The training steps done at the first evaluation at which losses differ by more than 0.1 %.

    Args:
        left, right: rows of `curve.csv`. Losses of single steps are not recorded: `train_loss` is the mean since the
            row before, so the step is known to the nearest evaluation, and is that after the parting.

    Infinite where they have not parted by their last common evaluation; NaN where they have none to compare.
    """
    names = [name for name in LOSSES if name in left and name in right]
    both = left.merge(right, on="step", suffixes=("_left", "_right")).sort_values("step")
    if both.empty or not names:
        return float("nan")
    apart = np.zeros(len(both), bool)
    for name in names:
        one, other = both[f"{name}_left"].to_numpy(float), both[f"{name}_right"].to_numpy(float)
        near = np.isclose(one, other, rtol=0, atol=TOLERANCE * np.maximum(np.abs(one), np.abs(other)), equal_nan=True)
        apart |= ~near
    return float(both["step"].to_numpy()[apart.argmax()]) if apart.any() else float("inf")
