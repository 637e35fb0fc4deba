"""TensorFlow's fast engine against its reference: outputs, final state and every gradient, however it is called.

A traced function is compiled once for a cell's shapes; the cases of one shape differ in values alone.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from impls.contract import Array, CellSpec
from impls.parameters import cell_shapes
from impls.tensorflow.engines import unroll
from impls.tensorflow.engines.rounds.blocks import compiled_blocks
from impls.tensorflow.engines.rounds.jumps import latest_update
from impls.tensorflow.equations import initial_state
from tests.impls import recorded_runs
from tests.impls.frameworks import assert_gradients_close, parameters_for

CALLS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "eager": lambda function: function,
    "graph": lambda function: tf.function(function, autograph=False),
    "compiled": lambda function: tf.function(function, autograph=False, jit_compile=True),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What goes in, in float64, and the cotangents of everything that comes out."""

    parameters: dict[str, Array]
    inputs: Array
    state: list[Array]
    draws: dict[str, Array]
    cotangents: list[Array]


def case_for(
    spec: CellSpec,
    *,
    batch: int,
    time: int,
    seed: int = 0,
    scale: float = 1.0,
    gate_weight: float = 1.0,
    updates: float | None = None,
) -> Case:
    """Random values; `gate_weight` scales the skip gate's weights, `updates` is the random skip's ratio."""
    generator = np.random.default_rng(seed)
    parameters = parameters_for(spec, seed=seed, scale=scale)
    if spec.skips:
        parameters["update_gate.weights"] = parameters["update_gate.weights"] * gate_weight
        parameters["update_gate.biases"] = np.full(1, spec.update_bias)
    draws = {}
    if updates is not None:
        draws["updates"] = (generator.uniform(size=(batch, time)) < updates).astype(float)
    if spec.gate == "bernoulli":
        draws["gate_noise"] = generator.uniform(size=(batch, time))
    leaves = [(batch, units) for units in spec.units for _ in spec.kind.state]
    state = [generator.normal(size=shape) for shape in leaves]
    if spec.skips:  # anywhere between two updates
        state += [generator.uniform(0.05, 0.5, (batch, 1)), generator.uniform(0.0, 0.4, (batch, 1))]
    shapes = [(batch, time, spec.units[-1]), (batch, time, 1), *(leaf.shape for leaf in state)]
    return Case(
        parameters=parameters,
        inputs=generator.normal(size=(batch, time, spec.input_size)),
        state=state,
        draws=draws,
        cotangents=[generator.normal(size=shape) for shape in shapes],
    )


@functools.cache
def differentiated(spec: CellSpec, engine: str, call: str, *, from_learned: bool) -> Callable[..., Any]:
    """Runs an engine on a case's arrays; returns outputs, and gradients of parameters, inputs and initial state."""

    def run(parameters: Any, inputs: Any, state: Any, draws: Any, cotangents: Any) -> Any:
        structure = initial_state(spec, parameters, batch=inputs.shape[0], like=inputs)
        with tf.GradientTape() as tape:
            tape.watch([parameters, inputs, state])
            start = tf.nest.pack_sequence_as(structure, state)
            if from_learned:
                start = initial_state(spec, parameters, batch=inputs.shape[0], like=inputs)
            outputs = tf.nest.flatten(unroll(spec, parameters, inputs, start, engine=engine, **draws))
            loss = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(outputs, cotangents, strict=True)])
        gradients = tape.gradient(loss, [parameters, inputs, state], unconnected_gradients="zero")
        return outputs, gradients

    return CALLS[call](run)


def compare(spec: CellSpec, case: Case, *, call: str, from_learned: bool = False) -> float:
    """Asserts that both engines agree; returns the mean gate."""
    results = {}
    for engine, how in (("reference", "graph"), ("fast", call)):
        given = tf.nest.map_structure(
            tf.constant, (case.parameters, case.inputs, case.state, case.draws, case.cotangents)
        )
        results[engine] = differentiated(spec, engine, how, from_learned=from_learned)(*given)
    (outputs, gradients), (fast_outputs, fast_gradients) = results["reference"], results["fast"]
    np.testing.assert_array_equal(fast_outputs[1], outputs[1])
    for ours, theirs in zip(fast_outputs, outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    named = [
        {**of_parameters, "inputs": of_inputs, **{f"state {k}": leaf for k, leaf in enumerate(of_state)}}
        for of_parameters, of_inputs, of_state in (fast_gradients, gradients)
    ]
    ours, theirs = ({name: np.asarray(value) for name, value in mapping.items()} for mapping in named)
    assert_gradients_close(ours, theirs, tolerance=1e-9)
    return float(np.mean(outputs[1]))


@pytest.mark.slow
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("cell", ["skip_lstm", "skip_gru"])
def test_longer_sequences(cell: str, layer_norm: bool) -> None:
    """Several blocks of rounds."""
    spec = CellSpec(cell=cell, input_size=2, units=(6, 4), layer_norm=layer_norm, update_bias=-0.5)
    assert 0.0 < compare(spec, case_for(spec, batch=3, time=109, gate_weight=2.0), call="graph") < 1.0


@pytest.mark.parametrize(
    "cell",
    [
        "lstm",
        *(pytest.param(cell, marks=pytest.mark.slow) for cell in ("gru", "skip_lstm", "skip_gru")),
    ],
)
def test_many_features(cell: str) -> None:
    """A product with few features, as the other tests have, is made element by element; with more it is a product."""
    spec = CellSpec(cell=cell, input_size=9, units=(5,), update_bias=-0.5)
    compare(spec, case_for(spec, batch=3, time=7, gate_weight=2.0), call="graph")


def test_latest_update() -> None:
    times = tf.constant([[0, 2, 4], [1, 4, 4], [4, 4, 4]])  # of three sequences, the last without any
    latest, gates = latest_update(times, steps=tf.constant(4))
    np.testing.assert_array_equal(latest, [[1, 2, 2, 2], [0, 0, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(gates, [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.covering
@pytest.mark.parametrize("engine", ["reference", "fast"])
@pytest.mark.parametrize("cell", ["skip_lstm", "gru"])
def test_last_step_alone(cell: str, engine: str) -> None:
    """Without `every_step`, h is that of the last step, and so is its gradient."""
    spec = CellSpec(cell=cell, input_size=2, units=(4, 3))
    case = case_for(spec, batch=3, time=30)
    parameters = {name: tf.constant(value) for name, value in case.parameters.items()}
    inputs = tf.constant(case.inputs)
    found = []
    for every_step in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            start = initial_state(spec, parameters, batch=3, like=inputs)
            h, gates, _ = unroll(spec, parameters, inputs, start, every_step=every_step, engine=engine)
            loss = tf.reduce_sum(tf.sin(h[:, -1])) + (0.1 * tf.reduce_sum(gates) if spec.skips else 0.0)
        assert h.shape == (3, 30 if every_step else 1, 3)
        assert gates.shape == (3, 30, 1)
        gradients = tape.gradient(loss, parameters, unconnected_gradients="zero")
        found.append([h[:, -1], *(gradients[name] for name in parameters)])
    for whole, last in zip(*found, strict=True):
        np.testing.assert_allclose(last, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cell", ["skip_lstm", "skip_gru"])
def test_every_update_ratio(cell: str) -> None:
    """From one update to all of them, saturated gates too; float64, inside a traced function."""
    ratios = []
    for bias in (-100.0, -5.0, -3.0, -1.5, -0.5, 0.5, 3.0, 100.0):
        # The initial bias is a parameter here: one cell, one compiled shape.
        spec = CellSpec(cell=cell, input_size=2, units=(5,))
        case = case_for(spec, batch=4, time=40, gate_weight=2.0, seed=3)
        case.parameters["update_gate.biases"][:] = bias
        ratios.append(compare(spec, case, call="graph", from_learned=True))
    assert ratios[0] == 1 / 40
    assert ratios[-1] == 1.0
    assert ratios == sorted(ratios)


OPTIONS = [
    ("eager", CellSpec(cell="skip_lstm", input_size=3, units=(4, 3, 5), layer_norm=True, gate_layer=0)),
    ("compiled", CellSpec(cell="skip_gru", input_size=3, units=(4, 3), layer_norm=True, gate_layer=0)),
    ("compiled", CellSpec(cell="skip_lstm", input_size=1, units=(4,), gate="bernoulli", activation="sigmoid")),
    ("eager", CellSpec(cell="skip_gru", input_size=9, units=(4,), gate="bernoulli", activation="relu")),
    ("compiled", CellSpec(cell="skip_lstm", input_size=2, units=(3, 4), activation="identity", initial_state="zeros")),
]


# Two have nearly all options; the others are left to `make test-slow`.
@pytest.mark.parametrize(
    ("call", "spec"),
    [pytest.param(*case, marks=pytest.mark.slow if number in (0, 1, 4) else ()) for number, case in enumerate(OPTIONS)],
)
def test_options_from_any_state(call: str, spec: CellSpec) -> None:
    """Stacks, layer norm, activations and Bernoulli gates, from a state between two updates."""
    case = case_for(replace(spec, update_bias=-1.5), batch=3, time=31, gate_weight=2.0, scale=0.7)
    assert compare(spec, case, call=call) < 1.0


@pytest.mark.parametrize(
    ("cell", "units", "updates", "call"),
    [
        ("gru", (4, 3), None, "graph"),
        ("lstm", (4,), 0.3, "compiled"),
        pytest.param("gru", (4, 3), None, "compiled", marks=pytest.mark.slow),
        pytest.param("lstm", (4, 3), 0.3, "compiled", marks=pytest.mark.slow),
        pytest.param("gru", (4, 3), 0.3, "graph", marks=pytest.mark.slow),
    ],
)
def test_plain_cells_and_random_skips(cell: str, units: tuple[int, ...], updates: float | None, call: str) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=units, layer_norm=updates is not None)
    ratio = compare(spec, case_for(spec, batch=3, time=30, updates=updates), call=call)
    assert (ratio == 1.0) == (updates is None)


@pytest.mark.parametrize("cell", [pytest.param("skip_lstm", marks=pytest.mark.slow), "skip_gru"])
def test_one_step_one_unit_one_sequence(cell: str) -> None:
    """The smallest sizes; with layer norm, whose deviation is 0 for one unit."""
    spec = CellSpec(cell=cell, input_size=1, units=(1,), layer_norm=True)
    compare(spec, case_for(spec, batch=1, time=1), call="eager", from_learned=True)


@pytest.mark.parametrize(
    ("batch", "units"),
    [
        (4, 5),  # XLA's code for AVX-512 concatenates products of this size wrongly, in float64
        *(pytest.param(batch, units, marks=pytest.mark.slow) for batch in (2, 3, 5, 8) for units in (2, 3, 5, 7)),
    ],
)
@pytest.mark.parametrize(
    "cell", ["gru", *(pytest.param(cell, marks=pytest.mark.slow) for cell in ("lstm", "skip_gru"))]
)
def test_small_odd_sizes(cell: str, batch: int, units: int) -> None:
    spec = CellSpec(cell=cell, input_size=3, units=(units,))
    compare(spec, case_for(spec, batch=batch, time=3), call="graph")


def test_a_sequence_that_never_updates() -> None:
    """From a state whose gate stays shut to the end."""
    spec = CellSpec(cell="skip_lstm", input_size=2, units=(5,))
    case = case_for(spec, batch=4, time=40)
    case.state[-2][:2], case.state[-1][:2] = 1e-3, 0.0
    assert compare(spec, case, call="graph") < 1.0


def test_gradients_taken_outside_a_traced_function() -> None:
    """A function traced where no tape records can still be differentiated by one that watches its call."""
    spec = CellSpec(cell="skip_gru", input_size=2, units=(5,))
    case = case_for(spec, batch=4, time=40, seed=1)
    parameters, inputs = tf.nest.map_structure(tf.constant, (case.parameters, case.inputs))

    @tf.function(autograph=False)
    def run(inputs: tf.Tensor, *, engine: str) -> tf.Tensor:
        start = initial_state(spec, parameters, batch=4, like=inputs)
        return unroll(spec, parameters, inputs, start, engine=engine).h

    run.get_concrete_function(inputs, engine="fast")
    gradients = []
    for engine in ("reference", "fast"):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            h = run(inputs, engine=engine)
        gradients.append(np.asarray(tape.gradient(h, inputs)))
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)


@functools.cache
def recorded_run(spec: CellSpec) -> Callable[..., Any]:
    """A traced function for all recorded runs of one cell, which differ in values alone."""

    @tf.function(autograph=False)
    def run(parameters: Any, inputs: Any, loss_weight: Any, cost: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([parameters, inputs])
            start = initial_state(spec, parameters, batch=inputs.shape[0], like=inputs)
            h, gates, _ = unroll(spec, parameters, inputs, start, engine="fast")
            loss = (tf.reduce_sum(h * loss_weight) + cost * tf.reduce_sum(gates)) / inputs.shape[0]
        return h, gates, tape.gradient(loss, {**parameters, "x": inputs})

    return run


def of_values_alone(spec: CellSpec) -> CellSpec:
    """Without the initial bias of the gate, in which the recorded runs of a cell differ."""
    return CellSpec(cell=spec.cell, input_size=spec.input_size, units=spec.units, layer_norm=spec.layer_norm)


def given_to(recorded: recorded_runs.RecordedRun) -> list[Any]:
    """The arguments of `recorded_run`."""
    parameters = {name: tf.constant(recorded.parameters[name], tf.float32) for name in cell_shapes(recorded.spec)}
    values = (recorded.x, recorded.loss_weight, recorded.cost_per_sample)
    return [parameters, *(tf.constant(value, tf.float32) for value in values)]


def test_a_shape_is_compiled_once_whatever_the_updates() -> None:
    """Numbers of rounds, and of blocks of rounds, are no part of what XLA compiles.

    The recorded runs of this cell, below, find it compiled.
    """
    compiled_blocks.cache_clear()
    recorded_run.cache_clear()
    recorded = recorded_runs.load("skip_gru_24_bias+1")  # of more steps than a block has rounds
    run, seconds = recorded_run(of_values_alone(recorded.spec)), []
    for bias in (3.0, -1.0, -2.0, -3.0):
        start = time.process_time()
        biases = np.full_like(recorded.parameters["update_gate.biases"], bias)
        run(*given_to(replace(recorded, parameters={**recorded.parameters, "update_gate.biases": biases})))
        seconds.append(time.process_time() - start)
    assert max(seconds[1:]) < 0.1 * seconds[0]


def _recorded(name: str) -> Any:
    """Of the eight programs that are compiled two have either cell, normalised and not; the others are slow."""
    often = name.startswith(("skip_lstm_24_layernorm", "skip_gru_24_bias"))
    return pytest.param(name, marks=() if often else pytest.mark.slow)


@pytest.mark.parametrize("name", [_recorded(name) for name in recorded_runs.NAMES])
def test_recorded_runs(name: str) -> None:
    recorded = recorded_runs.load(name)
    h, gates, gradients = recorded_run(of_values_alone(recorded.spec))(*given_to(recorded))
    np.testing.assert_array_equal(gates, recorded.state_gate)
    np.testing.assert_allclose(h, recorded.h, rtol=0, atol=2e-6)
    ours = {name: np.asarray(value) for name, value in gradients.items()}
    assert_gradients_close(ours, recorded.gradients, tolerance=5e-5)


RAGGED = [
    ("graph", CellSpec(cell="skip_lstm", input_size=2, units=(5,))),
    ("compiled", CellSpec(cell="skip_lstm", input_size=2, units=(4, 3), layer_norm=True)),
    ("compiled", CellSpec(cell="skip_gru", input_size=2, units=(4, 3))),
    ("graph", CellSpec(cell="skip_gru", input_size=2, units=(5,), layer_norm=True, gate="bernoulli")),
]


@pytest.mark.covering
@pytest.mark.parametrize("ending", ["every step", "last step", "lengths"])
@pytest.mark.parametrize(("call", "spec"), RAGGED, ids=lambda given: getattr(given, "cell", given))
def test_sequences_that_skip_differently(call: str, spec: CellSpec, ending: str) -> None:
    """In every round some skip nothing while others skip long runs, of which no two are alike."""
    spec, apart = replace(spec, update_bias=-1.0), 0.0
    for seed in range(3):
        case = case_for(spec, batch=6, time=37, seed=seed)
        case.inputs[:] *= np.linspace(0.2, 3.0, 6)[:, np.newaxis, np.newaxis]
        generator = np.random.default_rng(seed)
        draws = {**case.draws, **({"lengths": generator.integers(0, 38, 6)} if ending == "lengths" else {})}
        found = {}
        for engine, how in (("reference", "graph"), ("fast", call)):
            given = tf.nest.map_structure(tf.constant, (case.parameters, case.inputs, draws, case.cotangents[0]))
            found[engine] = of_ending(spec, engine, how, ending != "last step")(*given)
        gates = np.asarray(found["reference"][0])[:, :, 0]
        np.testing.assert_array_equal(np.asarray(found["fast"][0])[:, :, 0], gates)
        apart += np.ptp(gates.sum(axis=1))
        ours, theirs = (
            {name: np.asarray(value) for name, value in found[engine][1].items()} for engine in ("fast", "reference")
        )
        assert_gradients_close(ours, theirs, tolerance=1e-9)
    assert apart > 9


@functools.cache
def of_ending(spec: CellSpec, engine: str, call: str, every_step: bool) -> Callable[..., Any]:
    """The gates, and the gradients by parameters and inputs of a loss of outputs at every step or at the last."""

    def run(parameters: Any, inputs: Any, draws: Any, cotangents: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([parameters, inputs])
            start = initial_state(spec, parameters, batch=inputs.shape[0], like=inputs)
            h, gates, _ = unroll(spec, parameters, inputs, start, every_step=every_step, engine=engine, **draws)
            loss = tf.reduce_sum(h * cotangents[:, -h.shape[1] :])
            loss += 0.1 * tf.reduce_sum(gates * tf.cos(cotangents[:, :, :1]))
        gradients, ginputs = tape.gradient(loss, [parameters, inputs], unconnected_gradients="zero")
        return gates, {**gradients, "inputs": ginputs}

    return CALLS[call](run)
