"""Whether the fast engine computes what the reference does on a device, before any time is taken of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from bench.speed.precisions import unavailable
from impls.contract import PRECISIONS, Batch, CellSpec, Evaluation, ModelSpec, OptimizerSpec, build_learner
from impls.kinds import skip_cells
from impls.parameters import initial_parameters

STEPS = 3
# How far predictions may be apart after a few steps, by what their products round; gates are the same.
ROUNDING = {"float32": 1e-4, "tf32": 2e-2, "bfloat16": 1e-1}
BATCH, TIME = 8, 24


def disagreements(framework: str, *, device: str, precisions: Sequence[str]) -> Iterator[str]:
    """What the engines differ in by more than rounding, a line each; nothing where they agree.

    Small skip cells with gates that differ by sequence are trained for a few steps and evaluated. In a precision below
    float32 gates may part where rounding decides, so there they fire at set steps.
    """
    for precision in precisions:
        for cell in skip_cells():
            spec = CellSpec(
                cell=cell, input_size=3, units=(33,), update_bias=-0.5, initial_state="zeros", precision=precision
            )
            model = ModelSpec(cell=spec, output_size=4, loss="cross_entropy", budget_cost=1e-3)
            fast, reference = (_evaluated(framework, engine, model, device=device) for engine in ("fast", "reference"))
            words = f"{framework} on {device}: the fast engine's {{}} of {cell} in {precision} are not the reference's"
            if not np.array_equal(fast.gates, reference.gates):
                yield words.format("gates")
                continue
            apart = float(np.abs(fast.predictions - reference.predictions).max())
            if not apart <= ROUNDING[precision]:  # a NaN is no number of any size
                yield f"{words.format('predictions')}: {apart:.2g} apart, where {ROUNDING[precision]:g} is rounding"


def _evaluated(framework: str, engine: str, model: ModelSpec, *, device: str) -> Evaluation:
    parameters = initial_parameters(model, seed=1)
    if model.cell.precision == "float32":
        parameters["update_gate.weights"] = 4.0 * parameters["update_gate.weights"]
    else:
        parameters["update_gate.weights"] = 0.0 * parameters["update_gate.weights"]
    learner = build_learner(
        framework,
        model=model,
        optimizer=OptimizerSpec(learning_rate=1e-3 if model.cell.precision == "float32" else 0.0),
        parameters=parameters,
        engine=engine,
        device=device,
    )
    for step in range(STEPS):
        learner.train_step(_batch(step))
    return learner.evaluate(_batch(STEPS))


def _batch(step: int) -> Batch:
    draw = np.random.default_rng(step)
    inputs = draw.standard_normal((BATCH, TIME, 3)).astype(np.float32)
    return Batch(inputs=inputs, targets=draw.integers(4, size=BATCH, dtype=np.int32))


def main(framework: str, device: str) -> None:
    """Prints the disagreements as a JSON list: for a process of its own, which imports one framework."""
    refused = unavailable(framework, device=device)
    precisions = [name for name in PRECISIONS if name not in refused]
    print(json.dumps(list(disagreements(framework, device=device, precisions=precisions))))


if __name__ == "__main__":
    main(*sys.argv[1:])
