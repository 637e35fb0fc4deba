"""One program a step, or blocks of rounds: which sizes take which, and that the numbers are the same."""

from __future__ import annotations

import numpy as np
import pytest

from bench.tasks.randomness import generator
from impls.contract import Batch, CellSpec, Learner, ModelSpec, OptimizerSpec, build_learner
from impls.parameters import initial_parameters
from impls.tensorflow.engines import compilation
from impls.tensorflow.engines.compilation import is_one_program, recorded_bytes

STEPS, SEQUENCES = 30, 4  # more steps than a block has rounds


def model(cell: str, *, units: tuple[int, ...] = (5,), readout: str = "last", dtype: str = "float32") -> ModelSpec:
    spec = CellSpec(cell=cell, input_size=2, units=units, update_bias=0.3)
    loss = "mean_squared_error" if readout == "last" else "binary_cross_entropy"
    return ModelSpec(cell=spec, output_size=1, loss=loss, readout=readout, budget_cost=0.01, dtype=dtype)


def learner(spec: ModelSpec) -> Learner:
    return build_learner(
        "tensorflow",
        model=spec,
        optimizer=OptimizerSpec(learning_rate=1e-2),
        parameters=initial_parameters(spec, seed=3),
        engine="fast",
    )


def batch(step: int, spec: ModelSpec) -> Batch:
    draw = generator(seed=1, stream="compilation", step=step)
    inputs = draw.standard_normal((SEQUENCES, STEPS, 2)).astype(np.float32)
    if spec.readout == "last":
        return Batch(inputs=inputs, targets=draw.standard_normal((SEQUENCES, 1)).astype(np.float32))
    targets = draw.integers(0, 2, (SEQUENCES, STEPS, 1)).astype(np.float32)
    mask = (np.arange(STEPS) < np.array([[3], [11], [29], [30]])).astype(np.float32)
    return Batch(inputs=inputs, targets=targets, mask=mask)


@pytest.mark.parametrize(
    ("cell", "units", "readout"),
    [("lstm", (5,), "last"), pytest.param("skip_gru", (4, 3), "every", marks=pytest.mark.slow)],
)
def test_a_step_in_one_program_is_the_step_in_blocks(
    cell: str, units: tuple[int, ...], readout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = model(cell, units=units, readout=readout, dtype="float64")
    whole, in_blocks = learner(spec), learner(spec)
    for step in range(3):
        found = whole.train_step(batch(step, spec))
        with monkeypatch.context() as patch:
            patch.setattr(compilation, "MOST_RECORDED_BYTES", 0)
            expected = in_blocks.train_step(batch(step, spec))
        assert found.updates == expected.updates
        np.testing.assert_allclose([found.loss, found.budget_loss], [expected.loss, expected.budget_loss], rtol=1e-12)
    for name, value in in_blocks.export_state().items():
        np.testing.assert_allclose(whole.export_state()[name], value, rtol=1e-10, atol=1e-13, err_msg=name)


def test_records_are_counted_by_the_units_the_steps_and_the_batch() -> None:
    """Of an update an LSTM keeps c, h and its four gates, a GRU h and three; the time, Δũ and ũ of each sequence."""
    lstm, gru = 8 * (2 + 4) * 4 + 3 * 4, 8 * (1 + 3) * 4 + 3 * 4
    assert recorded_bytes(model("skip_lstm", units=(8,)), batch_size=16, steps=9) == 10 * 16 * lstm
    assert recorded_bytes(model("skip_gru", units=(8,)), batch_size=16, steps=9) == 10 * 16 * gru


@pytest.mark.parametrize(
    ("engine", "steps", "training", "expected"),
    [
        ("fast", 50, True, True),
        ("fast", 784, True, False),  # 530 MB of records
        ("fast", 784, False, True),
        ("reference", 784, True, True),
    ],
)
def test_what_is_one_program(engine: str, steps: int, training: bool, expected: bool) -> None:
    spec = model("skip_lstm", units=(110,))
    assert expected is is_one_program(engine, spec, device="cpu", batch_size=256, steps=steps, training=training)


@pytest.mark.parametrize(("cell", "device", "expected"), [("lstm", "cuda", False), ("gru", "cuda", True)])
def test_of_keras_layers_cudnn_s_alone_are_not_compiled(cell: str, device: str, expected: bool) -> None:
    for training in (True, False):
        assert expected is is_one_program(
            "native", model(cell), device=device, batch_size=1, steps=1, training=training
        )
    assert is_one_program("native", model(cell), device="cpu", batch_size=1, steps=1, training=True)
