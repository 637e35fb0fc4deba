"""The work that engines do, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from impls.contract import FRAMEWORKS, IMPLEMENTATIONS, Batch, CellSpec, ModelSpec, OptimizerSpec, build_learner
from impls.parameters import initial_parameters
from impls.work import multiplies_padding, work_macs


def test_inference_follows_the_updates_of_what_jumps_alone() -> None:
    spec = CellSpec(cell="skip_lstm", input_size=2, units=(110,))
    step = 4 * 110 * (2 + 110)
    done = dict.fromkeys(("reference", "operations", "native"), 50 * step)
    done |= dict.fromkeys(("kernels", "rounds", "tiles"), 5 * step)
    assert {name for framework in FRAMEWORKS for name in IMPLEMENTATIONS[framework]} == set(done)
    for name, work in done.items():
        assert work_macs(spec, updates_per_sequence=5, steps=50, implementation=name) == work


def test_training_pays_for_skipped_candidates() -> None:
    lstm = CellSpec(cell="skip_lstm", input_size=3, units=(10, 20))
    step = 4 * (10 * (3 + 10) + 20 * (10 + 20))
    inputs = 4 * (10 * 3 + 20 * 10)
    recurrent = 4 * (10 * 10 + 20 * 20)  # once, after the last update: the others are shared with the next one
    skipped = 5 * inputs + recurrent
    assert (
        work_macs(lstm, updates_per_sequence=4, steps=9, implementation="kernels", training=True)
        == 3 * 4 * step + skipped
    )
    gru = CellSpec(cell="skip_gru", input_size=3, units=(10,))
    step, candidate = 3 * 10 * (3 + 10), 3 * 10 * 3 + 10 * 10
    skipped = 5 * candidate + 2 * 10 * 10
    assert (
        work_macs(gru, updates_per_sequence=4, steps=9, implementation="kernels", training=True)
        == 3 * 4 * step + skipped
    )


def test_plain_cells_pay_for_updates_alone() -> None:
    spec = CellSpec(cell="gru", input_size=3, units=(10,))
    whole = work_macs(spec, updates_per_sequence=9, steps=9, implementation="reference", training=True)
    assert work_macs(spec, updates_per_sequence=9, steps=9, implementation="kernels", training=True) == whole
    assert work_macs(spec, updates_per_sequence=3, steps=9, implementation="kernels", training=True) == whole / 3


def test_operations_make_the_candidates_once_more_in_training() -> None:
    spec = CellSpec(cell="skip_gru", input_size=3, units=(10,))
    step = 3 * 10 * (3 + 10)
    count = {
        name: work_macs(spec, updates_per_sequence=4, steps=9, implementation=name, training=True)
        for name in ("reference", "operations")
    }
    assert count == {"reference": 3 * 9 * step, "operations": 4 * 9 * step}


def test_tiles_make_the_gradients_of_weights_and_inputs_at_every_step() -> None:
    stack = CellSpec(cell="gru", input_size=3, units=(10, 20))
    bottom, upper = 3 * 10 * 3, 3 * 20 * 10
    recurrent = 3 * (10 * 10 + 20 * 20)
    step = bottom + upper + recurrent
    # Forward and the gradient of what was multiplied follow the updates, but for the inputs.
    of_updates, of_steps = 2 * step - bottom, step + bottom
    count = work_macs(stack, updates_per_sequence=4, steps=9, implementation="tiles", training=True)
    assert count == 4 * of_updates + 9 * of_steps


def test_what_cannot_be_counted_is_refused() -> None:
    spec = CellSpec(cell="gru", input_size=3, units=(10,))
    with pytest.raises(ValueError, match="implementation='fast': its work is not counted"):
        work_macs(spec, updates_per_sequence=4, steps=9, implementation="fast")


@pytest.mark.parametrize(
    ("engine", "precision", "implementation"),
    [
        ("reference", "float32", "reference"),
        ("fast", "bfloat16", "operations"),
        ("native", "float32", "native"),
    ],
)
def test_what_pytorch_multiplies_at_padding_is_counted(engine: str, precision: str, implementation: str) -> None:
    """Against PyTorch's own counter, which sees all products but those of the compiled kernels."""
    cell = CellSpec(cell="lstm", input_size=3, units=(8,), precision=precision)
    model = ModelSpec(cell=cell, output_size=2, loss="cross_entropy")
    learner = build_learner(
        "pytorch",
        model=model,
        optimizer=OptimizerSpec(),
        parameters=initial_parameters(model, seed=0),
        engine=engine,
        device="cpu",
        threads=1,
    )
    assert learner.implementation == implementation
    lengths, steps = np.array([1, 2, 3, 4]), 20
    mask = (np.arange(steps) < lengths[:, np.newaxis]).astype(np.float32)
    inputs = np.random.default_rng(0).random((4, steps, 3), dtype=np.float32)
    with FlopCounterMode(display=False) as counted:
        learner.evaluate(Batch(inputs=inputs, targets=np.zeros(4, np.int32), mask=mask))
    readout = 4 * 8 * 2
    padded = multiplies_padding(cell, framework="pytorch", device="cpu", implementation=implementation)
    work = work_macs(
        cell,
        updates_per_sequence=lengths.mean(),
        steps=steps if padded else lengths.mean(),
        implementation=implementation,
    )
    assert counted.get_total_flops() / 2 - readout == 4 * work


def test_a_loop_of_keras_multiplies_at_padding_and_cudnn_does_not() -> None:
    def padded(cell: str, *, device: str) -> bool:
        spec = CellSpec(cell=cell, input_size=3, units=(8,))
        return multiplies_padding(spec, framework="tensorflow", device=device, implementation="native")

    assert padded("lstm", device="cpu")
    assert not padded("lstm", device="cuda")
    assert padded("gru", device="cuda"), "a GRU that resets before the product is none of cuDNN's"


@pytest.mark.parametrize("implementation", ["kernels", "rounds", "tiles"])
def test_what_follows_the_updates_multiplies_at_no_padding(implementation: str) -> None:
    spec = CellSpec(cell="lstm", input_size=3, units=(8,))
    framework = "tensorflow" if implementation == "rounds" else "pytorch"
    assert not multiplies_padding(spec, framework=framework, device="cuda", implementation=implementation)
