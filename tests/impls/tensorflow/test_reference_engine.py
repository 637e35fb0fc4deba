"""TensorFlow's reference engine beyond its numbers: what a long sequence costs, and gradients of gradients."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from impls.contract import CellSpec
from impls.parameters import initial_parameters
from impls.tensorflow import MultiSkipLSTMCell
from impls.tensorflow.engines import unroll
from impls.tensorflow.equations import initial_state

MODES = {
    "eager": lambda f: f,
    "traced": lambda f: tf.function(f, autograph=False),
    "compiled": lambda f: tf.function(f, autograph=False, jit_compile=True),
}
# Either kind and either form of h, traced and compiled; the rest of the product is the same loop's.
DIFFERENTIATED = [
    *((cell, every_step, "eager") for cell in ("lstm", "gru") for every_step in (True, False)),
    *(("lstm", True, "traced"), ("gru", False, "traced")),
    *(("lstm", False, "compiled"), ("gru", True, "compiled")),
]


def unrolled(spec: CellSpec, parameters: dict[str, Any], inputs: Any, *, every_step: bool = True) -> Any:
    start = initial_state(spec, parameters, batch=inputs.shape[0], like=inputs)
    return unroll(spec, parameters, inputs, start, every_step=every_step, engine="reference")


def training_seconds(spec: CellSpec, *, steps: int) -> float:
    """The shortest of some training steps with h and its gradient at every time step, compiled whole."""
    parameters = {name: tf.Variable(value) for name, value in initial_parameters(spec, seed=0).items()}
    inputs = tf.random.stateless_normal([64, steps, spec.input_size], seed=[1, 2])

    @tf.function(autograph=False, jit_compile=True)
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            h, gates, _ = unrolled(spec, parameters, inputs)
            loss = tf.reduce_mean(h * h) + tf.reduce_mean(gates)
        return tape.gradient(loss, [inputs, *parameters.values()], unconnected_gradients="zero")

    gradients()
    seconds = []
    for _ in range(3):
        start = time.process_time()
        gradients()[0].numpy()
        seconds.append(time.process_time() - start)
    return min(seconds)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["skip_lstm", "gru"])
def test_a_compiled_training_step_is_linear_in_time(cell: str) -> None:
    """Four times the steps take four times as long; what is quadratic takes sixteen."""
    spec = CellSpec(cell=cell, input_size=8, units=(64,))
    assert training_seconds(spec, steps=800) < 8 * training_seconds(spec, steps=200)


@pytest.mark.covering
@pytest.mark.parametrize(("cell", "every_step", "mode"), DIFFERENTIATED)
def test_a_gradient_can_be_differentiated(cell: str, every_step: bool, mode: str) -> None:
    """Against differences of first gradients; of plain cells, since a rounded gate's own gradient is not a slope."""
    spec = CellSpec(cell=cell, input_size=2, units=(3,))
    values = initial_parameters(spec, seed=0)
    parameters = {name: tf.constant(value, tf.float64) for name, value in values.items()}
    draw = np.random.default_rng(1)
    x, direction = draw.standard_normal((2, 2, 5, 2))

    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(unrolled(spec, parameters, x, every_step=every_step).h ** 2)
        return tape.gradient(loss, x)

    def of_gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            size = tf.reduce_sum(gradient(x) ** 2)
        return tape.gradient(size, x)

    step = 1e-5 * direction
    ahead, behind = (np.sum(gradient(tf.constant(place)).numpy() ** 2) for place in (x + step, x - step))
    second = MODES[mode](of_gradient)(tf.constant(x)).numpy()
    assert np.sum(second * direction) == pytest.approx((ahead - behind) / 2e-5, rel=1e-7)


def test_jacobian_adds_up_to_the_gradient() -> None:
    spec = CellSpec(cell="skip_gru", input_size=2, units=(3,))
    parameters = {name: tf.constant(value, tf.float64) for name, value in initial_parameters(spec, seed=0).items()}
    x = tf.constant(np.random.default_rng(1).standard_normal((2, 4, 2)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        h = unrolled(spec, parameters, x).h
        total = tf.reduce_sum(h)
    added = tf.reduce_sum(tape.jacobian(h, x), axis=(0, 1, 2))
    np.testing.assert_allclose(added, tape.gradient(total, x), rtol=0, atol=1e-12)


def test_forward_mode_of_a_cell_is_its_gradient() -> None:
    cell = MultiSkipLSTMCell((3, 2), input_size=2, seed=0, layer_norm=True, dtype="float64")
    x, direction = (tf.constant(value) for value in np.random.default_rng(1).standard_normal((2, 4, 3, 2)))

    def total() -> Any:
        state, steps = None, []
        for step in tf.unstack(x):
            outputs, state = cell(step, state)
            steps.append(outputs.h)
        return tf.reduce_sum(tf.stack(steps) ** 2)

    with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
        slope = accumulator.jvp(total())
    with tf.GradientTape() as tape:
        tape.watch(x)
        gradient = tape.gradient(total(), x)
    assert float(slope) == pytest.approx(float(tf.reduce_sum(gradient * direction)), rel=1e-12)
