"""What must hold for every cell, whatever its numbers, by random examples."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impls.contract import FRAMEWORKS, Array, CellSpec, Parameters
from impls.kinds import skip_cells
from tests.impls.frameworks import array, build, forward, leaves, parameters_for, run, tensor

FEATURES = 2
SPEC = CellSpec(cell="skip_lstm", input_size=FEATURES, units=(3, 4))
few = settings(max_examples=8, deadline=None, derandomize=True)
seeds = st.integers(0, 2**16)
skipping = st.sampled_from(skip_cells())
units = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def inputs(seed: int, *, batch: int = 3, time: int = 6) -> Array:
    return np.random.default_rng(seed).normal(size=(batch, time, FEATURES))


def constant_gate(spec: CellSpec, update_prob: float) -> Parameters:
    """Random parameters whose gate proposes the same Δũ at every update."""
    parameters = parameters_for(spec)
    parameters["update_gate.weights"][:] = 0.0
    parameters["update_gate.biases"][:] = math.log(update_prob / (1.0 - update_prob))
    return parameters


@pytest.mark.parametrize("framework", FRAMEWORKS)
@few
@given(seed=seeds, cell=skipping, units=units)
def test_skipped_step_changes_nothing_in_the_state(framework: str, seed: int, cell: str, units: tuple) -> None:
    """Not a bit of it, but for the stored ũ, which grows; an update empties that."""
    spec = replace(SPEC, cell=cell, units=units)
    module = build(framework, "cell", spec, stacked=True, dtype="float64", seed=seed)
    generator = np.random.default_rng(seed)
    batch = 8
    before = [generator.normal(size=(batch, width)) for width in leaves(module.state_size)[:-2]]
    before += [generator.uniform(size=(batch, 1)), generator.uniform(0.0, 0.5, size=(batch, 1))]
    outputs, state = module(
        tensor(framework, generator.normal(size=(batch, FEATURES))), [tensor(framework, leaf) for leaf in before]
    )
    gate, after = array(outputs.state_gate)[:, 0], [array(leaf) for leaf in leaves(state)]
    cumulative = before[-1] + np.minimum(before[-2], 1.0 - before[-1])
    np.testing.assert_array_equal(gate, np.round(cumulative)[:, 0])
    skipped = gate == 0
    for old, new in zip(before[:-1], after[:-1], strict=True):
        np.testing.assert_array_equal(new[skipped], old[skipped])
        assert (new[~skipped] != old[~skipped]).any(axis=1).all()
    np.testing.assert_array_equal(after[-1], np.where(gate[:, np.newaxis] == 1, 0.0, cumulative))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@few
@given(n=st.integers(1, 8), within=st.floats(0.02, 0.98), cell=skipping)
def test_skips_after_an_update_follow_equation_6(framework: str, n: int, within: float, cell: str) -> None:
    """`N_skip = min{n : n Δũ ≥ 0.5} − 1`, with Δũ anywhere between the ties at 0.5 / n and 0.5 / (n − 1)."""
    low, high = 0.5 / n, 0.5 / (n - 1) if n > 1 else 1.0
    update_prob = low + within * (high - low)
    assert min(k for k in range(1, 99) if k * update_prob >= 0.5) == n
    spec = replace(SPEC, cell=cell, units=(2,))
    module = build(framework, "layer", spec, dtype="float64")
    module.load_parameters(constant_gate(spec, update_prob))
    gates = forward(framework, "layer", module, inputs(0, batch=1, time=2 * n + 1)).gates[0, :, 0]
    np.testing.assert_array_equal(np.flatnonzero(gates), [0, n, 2 * n])


@pytest.mark.parametrize("framework", FRAMEWORKS)
@few
@given(seed=seeds, cell=skipping)
def test_gates_are_the_float_recursion_of_the_update_probabilities(framework: str, seed: int, cell: str) -> None:
    """In float32, from the Δũ of each step's state alone: the same integers, ties and rounding errors included."""
    module = build(framework, "cell", replace(SPEC, cell=cell, update_bias=-2.0), seed=seed)
    state, stored, update_prob = None, np.zeros((3, 1), np.float32), np.ones((3, 1), np.float32)
    for x in np.moveaxis(inputs(seed, time=12).astype(np.float32), 1, 0):
        outputs, state = module(tensor(framework, x), state)
        cumulative = stored + np.minimum(update_prob, np.float32(1.0) - stored)
        np.testing.assert_array_equal(array(outputs.state_gate), np.round(cumulative))
        stored = (np.float32(1.0) - np.round(cumulative)) * cumulative
        update_prob = array(state[-1].update_prob)


@pytest.mark.parametrize(
    ("framework", "update_bias"),
    [
        *(("pytorch", bias) for bias in (math.inf, 100.0)),
        ("tensorflow", math.inf),
        pytest.param("tensorflow", 100.0, marks=pytest.mark.slow),
    ],
)
@few
@given(seed=seeds, cell=skipping, units=units, layer_norm=st.booleans())
def test_open_gate_makes_the_plain_cell(
    framework: str, update_bias: float, seed: int, cell: str, units: tuple, layer_norm: bool
) -> None:
    """With an update bias of +∞ (or large enough for σ to be 1): outputs, final state and shared gradients."""
    spec = replace(SPEC, cell=cell, units=units, layer_norm=layer_norm, update_bias=update_bias)
    skip = build(framework, "layer", spec, dtype="float64", seed=seed)
    plain = build(framework, "layer", replace(spec, cell=spec.kind.name), dtype="float64", seed=seed)
    x, weight = inputs(seed, time=4), np.random.default_rng(seed).normal(size=(3, 4, units[-1]))
    ours, theirs = (run(framework, "layer", module, x, h_weight=weight) for module in (skip, plain))
    np.testing.assert_array_equal(ours.gates, 1.0)
    np.testing.assert_array_equal(ours.h, theirs.h)
    for one, other in zip(ours.state[: len(theirs.state)], theirs.state, strict=True):
        np.testing.assert_array_equal(one, other)
    for name, gradient in theirs.gradients.items():
        np.testing.assert_allclose(ours.gradients[name], gradient, rtol=0, atol=1e-12)
    for name in ("update_gate.weights", "update_gate.biases"):
        np.testing.assert_array_equal(ours.gradients[name], 0.0)  # a saturated gate learns nothing


@pytest.mark.parametrize("framework", FRAMEWORKS)
@few
@given(seed=seeds, cell=st.sampled_from(("lstm", "gru", *skip_cells())), cut=st.integers(1, 5))
def test_padding_and_cutting_gives_the_same_prefix(framework: str, seed: int, cell: str, cut: int) -> None:
    """Nothing of a step depends on later ones, nor on the other sequences of the batch."""
    module = build(framework, "layer", replace(SPEC, cell=cell, update_bias=-1.0), dtype="float64", seed=seed)
    x = inputs(seed, batch=4)
    whole = forward(framework, "layer", module, np.concatenate([x, np.full((4, 3, FEATURES), 9.0)], axis=1))
    part = forward(framework, "layer", module, x[:2, :cut])
    np.testing.assert_allclose(whole.h[:2, :cut], part.h, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(whole.gates[:2, :cut], part.gates)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@few
@given(seed=seeds, cell=skipping)
def test_skipping_is_worth_nothing_to_a_bernoulli_gate_that_cannot_choose(framework: str, seed: int, cell: str) -> None:
    """Noise of 0 always updates; noise of 1 never does."""
    module = build(framework, "layer", replace(SPEC, cell=cell, gate="bernoulli"), dtype="float64", seed=seed)
    for noise, gate in ((0.0, 1.0), (1.0, 0.0)):
        ours = forward(framework, "layer", module, inputs(seed, time=3), gate_noise=np.full((3, 3), noise))
        np.testing.assert_array_equal(ours.gates, gate)


def reached_by_the_budget(framework: str, spec: CellSpec, *, time: int) -> set[str]:
    """The parameters with a gradient from the number of updates alone."""
    module = build(framework, "layer", spec, dtype="float64")
    module.load_parameters(parameters_for(spec))
    gradients = run(framework, "layer", module, inputs(1, time=time), h_weight=0.0, gate_weight=1.0).gradients
    return {name for name, gradient in gradients.items() if name != "x" and gradient.any()}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("cell", skip_cells())
def test_budget_cost_reaches_every_parameter(framework: str, cell: str, layer_norm: bool) -> None:
    spec = replace(SPEC, cell=cell, layer_norm=layer_norm, update_bias=-0.5)
    assert reached_by_the_budget(framework, spec, time=8) == set(parameters_for(spec))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_budget_cost_does_not_reach_what_no_gate_reads(framework: str) -> None:
    spec = replace(SPEC, gate_layer=0, update_bias=-0.5)  # the upper layer feeds neither gate nor lower layer
    reached = reached_by_the_budget(framework, spec, time=8)
    assert reached == {name for name in parameters_for(spec) if not name.startswith("layers.1.")}
    assert reached_by_the_budget(framework, spec, time=1) == set()  # the first step always updates


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_budget_cost_of_two_steps_does_not_reach_the_output_gate(framework: str) -> None:
    """The gate reads c, which the output gate enters only by way of h at the step after."""
    spec = replace(SPEC, units=(4,), update_bias=-0.5)
    module = build(framework, "layer", spec, dtype="float64")
    module.load_parameters(parameters_for(spec))
    gradients = run(framework, "layer", module, inputs(1, time=2), h_weight=0.0, gate_weight=1.0).gradients
    of_gate = dict(zip("ijfo", np.split(gradients["layers.0.weights"], 4, axis=1), strict=True))
    assert all(of_gate[gate].any() for gate in "ijf")
    assert not of_gate["o"].any()
