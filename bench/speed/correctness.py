"""Whether the fast engine computes what the reference does on a device, before any time is taken of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bench.speed.precisions import unavailable
from impls.contract import PRECISIONS, Array, Batch, CellSpec, ModelSpec, OptimizerSpec, build_learner
from impls.kinds import skip_cells
from impls.parameters import initial_parameters

# How far predictions may be apart after a few steps, by what their products round; gates are the same.
ROUNDING = {"float32": 1e-4, "tf32": 2e-2, "bfloat16": 1e-1}
# How much of an operand a product rounds off at most: half a unit in the last of its 24, 11 and 8 bits.
OPERAND = {"float32": 2.0**-24, "tf32": 2.0**-11, "bfloat16": 2.0**-8}


class Shape(NamedTuple):
    """What is compared: one layer of so many units, the inputs it reads, and how many steps it is trained first."""

    units: int
    features: int
    batch: int
    length: int
    trained: int = 0


SMALL = Shape(units=33, features=3, batch=8, length=24, trained=3)
# What a GPU's own kernels do with sizes that are measured: several tiles of sequences, the last of them not full;
# matrices that stay on a multiprocessor (a GRU's at 110 units) or stream past it; several blocks of columns.
MEASURED = (
    Shape(units=110, features=16, batch=40, length=8),
    Shape(units=512, features=16, batch=24, length=6),
)


class Found(NamedTuple):
    """What an engine makes of one model: gradients by parameter, then predictions and gates of another batch."""

    gradients: dict[str, Array]
    predictions: Array
    gates: Array


def disagreements(framework: str, *, device: str, precisions: Sequence[str]) -> Iterator[str]:
    """What the engines differ in by more than rounding, a line each; nothing where they agree.

    Skip cells with gates that differ by sequence are asked for a batch's gradients, trained for a few steps, and
    evaluated, at the shapes of `shapes_on`. In a precision below float32 gates may part where rounding decides, so
    there they fire at set steps.
    """
    for precision in precisions:
        for shape in shapes_on(device, precision=precision):
            for cell in skip_cells():
                spec = CellSpec(
                    cell=cell,
                    input_size=shape.features,
                    units=(shape.units,),
                    update_bias=-0.5,
                    initial_state="zeros",
                    precision=precision,
                )
                model = ModelSpec(cell=spec, output_size=4, loss="cross_entropy", budget_cost=1e-3)
                fast, reference = (
                    _found(framework, engine, model, shape, device=device) for engine in ("fast", "reference")
                )
                told = _apart(fast, reference, shape=shape, precision=precision)
                if told is not None:
                    what, how_far = told
                    yield (
                        f"{framework} on {device}: the fast engine's {what} of {cell} in {precision} at {shape.units} "
                        f"units are not the reference's{how_far}"
                    )


def shapes_on(device: str, *, precision: str) -> tuple[Shape, ...]:
    """A small one, and on a GPU those of `MEASURED`: in float32 all, else the first, since each is compiled for."""
    if device != "cuda":
        return (SMALL,)
    return (SMALL, *MEASURED) if precision == "float32" else (SMALL, MEASURED[0])


def gradients_rounding(shape: Shape, *, precision: str, updates: float) -> float:
    """How far apart two gradients may be, as a share of their norm.

    A product rounds two operands, each by `OPERAND` at most, and a float32 for each term of its sum, of which there are
    up to four gates' units; what it is off by goes through the products of all updates, on the way forward and back.
    """
    terms = 4 * shape.units
    return 4 * updates * (OPERAND[precision] + terms * OPERAND["float32"])


def _apart(fast: Found, reference: Found, *, shape: Shape, precision: str) -> tuple[str, str] | None:
    """What differs first, and how far; None where the two agree."""
    if not np.array_equal(fast.gates, reference.gates):
        return "gates", ""
    most = gradients_rounding(shape, precision=precision, updates=float(reference.gates.sum(axis=1).max()))
    for name, expected in reference.gradients.items():
        apart = float(np.linalg.norm(fast.gradients[name] - expected) / np.linalg.norm(expected))
        if not apart <= most:  # a NaN is no number of any size
            return f"gradients by {name}", f": {apart:.2g} of their norm apart, where {most:.2g} is rounding"
    apart = float(np.abs(fast.predictions - reference.predictions).max())
    if not apart <= ROUNDING[precision]:
        return "predictions", f": {apart:.2g} apart, where {ROUNDING[precision]:g} is rounding"
    return None


def _found(framework: str, engine: str, model: ModelSpec, shape: Shape, *, device: str) -> Found:
    """Gradients are read from Adam's first moment, (1 − β₁) g after one step.

    That step's learning rate is 0, and nothing is clipped: it would bring gradients that are too long to the right
    length. Below float32 all learning rates are: the parameters, and with them the gates, stay as they are.
    """
    parameters = initial_parameters(model, seed=1)
    steep = 4.0 if model.cell.precision == "float32" else 0.0
    parameters["update_gate.weights"] = steep * parameters["update_gate.weights"]
    optimizer = OptimizerSpec(learning_rate=1e-3 if model.cell.precision == "float32" else 0.0, clip_norm=0.0)
    learner = build_learner(
        framework, model=model, optimizer=optimizer, parameters=parameters, engine=engine, device=device
    )
    learner.train_step(_batch(shape, seed=0), learning_rate=0.0)
    state = learner.export_state()
    gradients = {name: state[f"adam_m/{name}"] / (1.0 - optimizer.beta_1) for name in parameters}
    for step in range(shape.trained):
        learner.train_step(_batch(shape, seed=step))
    evaluation = learner.evaluate(_batch(shape, seed=shape.trained))
    return Found(gradients, evaluation.predictions, evaluation.gates)


def _batch(shape: Shape, *, seed: int) -> Batch:
    draw = np.random.default_rng(seed)
    inputs = draw.standard_normal((shape.batch, shape.length, shape.features)).astype(np.float32)
    return Batch(inputs=inputs, targets=draw.integers(4, size=shape.batch, dtype=np.int32))


def main(framework: str, device: str) -> None:
    """Prints the disagreements as a JSON list: for a process of its own, which imports one framework."""
    refused = unavailable(framework, device=device)
    precisions = [name for name in PRECISIONS if name not in refused]
    print(json.dumps(list(disagreements(framework, device=device, precisions=precisions))))


if __name__ == "__main__":
    main(*sys.argv[1:])
