"""Sequences of different lengths in TensorFlow's fast engine: against its reference, and against each run alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from impls.contract import CellSpec
from impls.kinds import cells
from impls.tensorflow.engines import unroll
from impls.tensorflow.equations import initial_state
from tests.impls.engines import assert_agree, random_case, run_engine
from tests.impls.frameworks import parameters_for

few = settings(max_examples=3, deadline=None, derandomize=True, phases=(Phase.generate,))

# Each is compiled anew: every cell, and of the skip cells either call with either form of h. A Bernoulli gate with
# lengths is in `test_four_engines.py` too, plain cells in `test_learner.py`.
SPECS = [
    ("graph", True, CellSpec(cell="skip_lstm", input_size=2, units=(5,), update_bias=-1.0)),
    ("compiled", False, CellSpec(cell="skip_lstm", input_size=1, units=(3, 4), update_bias=-1.0, gate_layer=0)),
    ("graph", False, CellSpec(cell="skip_gru", input_size=2, units=(4, 3), update_bias=-1.0, layer_norm=True)),
    ("compiled", True, CellSpec(cell="skip_gru", input_size=6, units=(4,), gate="bernoulli")),
    ("graph", True, CellSpec(cell="lstm", input_size=2, units=(3, 4))),
    ("compiled", False, CellSpec(cell="gru", input_size=2, units=(4,))),
]


@pytest.mark.covering("call", "every_step")
@pytest.mark.parametrize(("call", "every_step", "spec"), SPECS)
@few
@given(seed=st.integers(0, 2**16))
def test_against_the_reference(call: str, spec: CellSpec, every_step: bool, seed: int) -> None:
    """Lengths from nothing to everything, over more than one block of rounds; NaN in the padding reaches nothing."""
    updates = None if spec.skips or seed % 2 else 0.4
    case = random_case(spec, batch=5, time=31, seed=seed, updates=updates, lengths=True, every_step=every_step)
    expected = run_engine("tensorflow", "reference", case)
    padding = np.arange(31) >= case.lengths[:, np.newaxis]
    case.inputs[padding] = np.nan
    for draw in case.draws.values():
        draw[padding] = np.nan
    found = run_engine("tensorflow", "fast", case, call=call)
    assert_agree(found, expected)
    assert not found.gates[padding].any()


@pytest.mark.slow  # of whole layers `test_lengths.py` asks it in `make test`
@pytest.mark.parametrize("cell", cells())
@few
@given(seed=st.integers(0, 2**16))
def test_against_sequences_run_one_by_one(cell: str, seed: int) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=(4, 3), update_bias=-1.0)
    case = random_case(spec, batch=5, time=12, seed=seed, lengths=True)
    together = run_engine("tensorflow", "fast", case)
    summed = {name: np.zeros(value.shape) for name, value in case.parameters.items()}
    for row, length in enumerate(case.lengths):
        own = slice(row, row + 1)
        of_h, of_gates, *of_state = case.cotangents
        if length == 0:
            for ours, start in zip(together.state, case.state, strict=True):
                np.testing.assert_array_equal(ours[own], start[own])
            continue
        last = of_state[len(spec.kind.state) * len(spec.units) - 1]
        last[own] += of_h[own, length:].sum(axis=1)  # h there is the last state again
        alone = run_engine(
            "pytorch",
            "reference",
            replace(
                case,
                inputs=case.inputs[own, :length],
                state=[leaf[own] for leaf in case.state],
                cotangents=[of_h[own, :length], of_gates[own, :length], *(leaf[own] for leaf in of_state)],
                lengths=None,
            ),
        )
        np.testing.assert_array_equal(together.gates[own, :length], alone.gates)
        np.testing.assert_allclose(together.h[own, :length], alone.h, rtol=0, atol=1e-12)
        top = together.state[len(spec.kind.state) * len(spec.units) - 1][own]
        np.testing.assert_array_equal(together.h[own, length:], np.repeat(top[:, np.newaxis], 12 - length, axis=1))
        for ours, theirs in zip(together.state, alone.state, strict=True):
            np.testing.assert_allclose(ours[own], theirs, rtol=0, atol=1e-12)
        of_inputs = together.gradients["inputs"][own]
        np.testing.assert_allclose(of_inputs[:, :length], alone.gradients["inputs"], rtol=1e-8, atol=1e-10)
        assert not of_inputs[:, length:].any()
        summed = {name: value + alone.gradients[name] for name, value in summed.items()}
    for name, value in summed.items():
        np.testing.assert_allclose(together.gradients[name], value, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_sizes_that_are_not_known_while_tracing(engine: str) -> None:
    spec = CellSpec(cell="skip_gru", input_size=2, units=(4,), update_bias=-1.0)
    parameters = {name: tf.constant(value) for name, value in parameters_for(spec).items()}

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None, None, 2], tf.float64), tf.TensorSpec([None], tf.int64)],
    )
    def run(inputs: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        start = initial_state(spec, parameters, batch=tf.shape(inputs)[0], like=inputs)
        return unroll(spec, parameters, inputs, start, lengths=lengths, engine=engine).h

    for time in (7, 40):
        inputs, lengths = (
            tf.random.stateless_normal([3, time, 2], [0, time], dtype=tf.float64),
            tf.constant([0, time, 5]),
        )
        start = initial_state(spec, parameters, batch=3, like=inputs)
        expected = unroll(spec, parameters, inputs, start, lengths=lengths).h
        np.testing.assert_allclose(run(inputs, tf.cast(lengths, tf.int64)), expected, rtol=0, atol=1e-12)
