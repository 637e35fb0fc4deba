"""Multiply–accumulates that an engine really does, beside the published count, which is of updates alone.

Counted are the recurrent layers' matrix products, as in the published count: no biases, no element-wise work, no skip
gate, no readout. `docs/engines.md` says why some remain at skipped steps in training.
"""

from __future__ import annotations

from impls.contract import NATIVE, CellSpec
from impls.parameters import layer_input_sizes

# Passes over a step's products in training, of implementations that make them at every step, whatever the gate says:
# forward, the gradient of what was multiplied, that of the weights. `operations` makes the candidates once more.
PASSES_OF_EVERY_STEP = {"reference": 3, "native": 3, "operations": 4}
# Implementations whose products follow the updates.
OF_UPDATES = ("kernels", "rounds", "tiles")


def multiplies_padding(spec: CellSpec, *, framework: str, device: str, implementation: str) -> bool:
    """Whether padded steps are multiplied as the others are, though nothing of them is taken.

    Loops over dense steps do so, Keras's own too, which choose between the old state and the new one afterwards. What
    follows the updates has none there; PyTorch's own layer reads packed sequences, and cuDNN is told the lengths.
    """
    if implementation != NATIVE:
        return implementation not in OF_UPDATES
    in_cudnn = device == "cuda" and spec.kind.name == "lstm"
    return framework == "tensorflow" and not in_cudnn


def _products(spec: CellSpec) -> tuple[int, int, int, int]:
    """Of one step, over all layers: the bottom input's, upper inputs', those with h, and a GRU's with `r h`."""
    early = len(spec.kind.normalised)
    late = len(spec.kind.gates) - early
    sizes = layer_input_sizes(spec)
    bottom, *upper = ((early + late) * below * units for below, units in zip(sizes, spec.units, strict=True))
    squares = sum(units * units for units in spec.units)
    return bottom, sum(upper), early * squares, late * squares


def work_macs(
    spec: CellSpec, *, updates_per_sequence: float, steps: float, implementation: str, training: bool = False
) -> float:
    """Multiply–accumulates of one sequence.

    `reference`, `native` and `operations` do every step, whatever the gate says; three, three and four times over in
    training.
    `kernels`, `rounds` and `tiles` do the updates, three times over in training; `tiles` makes the gradients of weights
    and inputs, which wait for no other, at every step. When a skip cell trains, a skipped step costs
    its candidate's products besides, but for the recurrent ones: the next update shares those, and one more is needed
    after the last.

    Args:
        spec: the cell.
        updates_per_sequence: the mean number of updates.
        steps: time steps of a sequence, with padding where `multiplies_padding` says so; a mean where they differ.
        implementation: what ran, one of `impls.contract.IMPLEMENTATIONS` (`Learner.implementation`).
        training: forward and backward, with a gradient for the inputs; otherwise inference.

    Raises `ValueError` for an implementation that it cannot count.
    """
    bottom, upper, recurrent, reset = _products(spec)
    step = bottom + upper + recurrent + reset
    if implementation in PASSES_OF_EVERY_STEP:
        return float((PASSES_OF_EVERY_STEP[implementation] if training else 1) * steps * step)
    if implementation not in OF_UPDATES:
        raise ValueError(f"implementation={implementation!r}: its work is not counted; say how in impls/work.py")
    work = float((3 if training else 1) * updates_per_sequence * step)
    if training and implementation == "tiles":
        work += (steps - updates_per_sequence) * (step + bottom)
    if training and spec.skips:
        skipped = steps - updates_per_sequence
        work += skipped * (bottom + upper + reset) + min(skipped, 1.0) * recurrent
    return work
