"""Both engines of both frameworks against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from impls.contract import Array, CellSpec
from impls.pytorch.equations import stack_step
from tests.impls.engines import (
    ENGINES,
    Case,
    Results,
    assert_agree,
    flat_state,
    random_case,
    relative_differences,
    run_engine,
    with_large_inputs,
)

few = settings(max_examples=15, deadline=None, derandomize=True, phases=(Phase.generate,))


def distance_from_tie(case: Case, results: Results, update_prob: Array) -> float:
    """How near to 0.5, where a rounding error decides, the cumulative ũ of any step comes."""
    nearest = 1.0
    stored = case.state[-1][:, 0]
    for t, gates in enumerate(results.gates[:, :, 0].T):
        cumulative = stored + np.minimum(update_prob[:, t], 1.0 - stored)
        nearest = min(nearest, float(np.abs(cumulative - 0.5).min()))
        stored = np.where(gates == 1, 0.0, cumulative)
    return nearest


def update_probs(case: Case) -> Array:
    """Δũ that each step's gate reads, `[batch, time]`, by the equations in float32, one step after the other."""
    parameters = {name: torch.tensor(value, dtype=torch.float32) for name, value in case.parameters.items()}
    inputs, *leaves = (torch.tensor(value, dtype=torch.float32) for value in (case.inputs, *case.state))
    state, read = flat_state(case.spec, leaves), []
    for t in range(inputs.shape[1]):
        read.append(state.gate[0][:, 0].numpy())
        _, state = stack_step(case.spec, parameters, inputs[:, t], state)
    return np.stack(read, axis=1)


@pytest.mark.parametrize("cell", [pytest.param("skip_lstm", marks=pytest.mark.slow), "skip_gru"])
@few
@given(seed=st.integers(0, 2**16), scale=st.floats(15.0, 60.0))
def test_partly_saturated_gates(cell: str, seed: int, scale: float) -> None:
    """In float32, where Δũ is exactly 1 at some steps: there `min(Δũ, 1 − ũ)` is a tie, whose gradient goes to Δũ."""
    spec = CellSpec(cell=cell, input_size=2, units=(8,), update_bias=0.0)
    case = random_case(spec, batch=4, time=30, seed=seed, gate_scale=scale, fresh=True)
    read = update_probs(case)
    assume(0.05 <= float((read == 1.0).mean()) <= 0.6)
    results = {name: run_engine(*name, case, dtype="float32") for name in ENGINES}
    expected = results["pytorch", "reference"]
    assume(distance_from_tie(case, expected, read) > 1e-5)
    # Steep gates magnify rounding: at some scales both references are more than 1e-3 from float64.
    exact = run_engine("pytorch", "reference", case).gradients
    errors = {name: relative_differences(found.gradients, exact) for name, found in results.items()}
    rounding = max(max(errors[framework, "reference"].values()) for framework in ("pytorch", "tensorflow"))
    for name, found in results.items():
        np.testing.assert_array_equal(found.gates, expected.gates)
        np.testing.assert_allclose(found.h, expected.h, rtol=0, atol=2e-5)
        assert max(errors[name].values()) <= max(1e-3, 2 * rounding), errors[name]


def deciding(cell: str, gate: str) -> CellSpec:
    """What the tests of a gate's corners share, with 6 sequences of 14 steps: TensorFlow compiles it once."""
    units = (4, 3) if cell == "skip_lstm" else (4,)
    return CellSpec(cell=cell, input_size=2, units=units, gate=gate, update_bias=-0.5)


@pytest.mark.parametrize("cell", ["skip_lstm", pytest.param("skip_gru", marks=pytest.mark.slow)])
def test_ties_at_skipped_steps(cell: str) -> None:
    """A Bernoulli gate skips whatever ũ is where the noise is 1: the one way to skip at a tie, of Δũ = 1 and ũ = 0."""
    case = random_case(deciding(cell, "bernoulli"), batch=6, time=14, fresh=True, lengths=True)
    case.lengths[:] = 14
    case.draws["gate_noise"][::2, 0] = 1.0
    expected = run_engine("pytorch", "reference", case)
    assert expected.gates[:, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]
    for framework, engine in ENGINES[1:]:
        assert_agree(run_engine(framework, engine, case), expected)


# PyTorch's fast engine where its tensors are not the kernels'.
OPERATIONS = ("pytorch", "operations")


@pytest.mark.covering
@pytest.mark.parametrize(
    ("cell", "gate", "lengths"),
    [
        ("skip_lstm", "bernoulli", True),
        ("skip_gru", "round", False),
        ("skip_lstm", "round", False),
        ("skip_gru", "round", True),
        ("skip_gru", "bernoulli", False),
    ],
)
def test_a_gate_that_reads_nan(cell: str, gate: str, lengths: bool) -> None:
    """From there on all of its sequence is NaN, to its end; the other sequences do not notice."""
    case = random_case(deciding(cell, gate), batch=6, time=14, seed=3, lengths=lengths, gate_scale=0.5)
    if lengths:
        case.lengths[:] = [14, 0, 9, 14, 12, 5]
    clean = run_engine("pytorch", "reference", case)
    case.state[-2][[1, 2]] = np.nan  # Δũ from the start, of a sequence without a step too
    case.state[-1][3] = np.nan  # the stored ũ
    case.inputs[4, np.flatnonzero(clean.gates[4])[1]] = np.nan  # the Δũ of the second update
    case.inputs[5, np.flatnonzero(clean.gates[5])[-1]] = np.nan  # of the last one, read or not
    expected = run_engine("pytorch", "reference", case)
    assert np.isnan(expected.gates).any(axis=(1, 2)).tolist()[:5] == [False, not lengths, True, True, True]
    for framework, engine in (*ENGINES[1:], OPERATIONS):
        found = run_engine(framework, engine, case)
        np.testing.assert_array_equal(found.gates, expected.gates)
        for ours, theirs in zip([found.h, *found.state], [expected.h, *expected.state], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
        for name, theirs in expected.gradients.items():
            if name in case.parameters:
                assert np.isnan(found.gradients[name][np.isnan(theirs)]).all(), name
            else:
                np.testing.assert_allclose(found.gradients[name][0], theirs[0], rtol=1e-9, atol=1e-12)
        assert np.isnan(found.gradients[f"state {len(case.state) - 2}"][2:4]).all()  # of the Δũ that was read first


@pytest.mark.covering("framework, engine", "dtype")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("framework", "engine"), [*ENGINES, OPERATIONS])
def test_a_small_update_probability_fires_in_low_precision(framework: str, engine: str, dtype: str) -> None:
    """ũ = 0.25 absorbs a Δũ of 1e-3 in float32, not in bfloat16."""
    spec = CellSpec(cell="skip_lstm", input_size=1, units=(3,))
    case = random_case(spec, batch=2, time=255)
    case.state[-2][:], case.state[-1][:] = 1e-3, 0.25
    found = run_engine(framework, engine, case, dtype=dtype)
    assert np.flatnonzero(found.gates[0])[0] == np.flatnonzero(found.gates[1])[0] == 250


@pytest.mark.parametrize(
    ("cell", "units", "dtype"),
    [
        ("skip_lstm", (7,), "bfloat16"),
        pytest.param("skip_lstm", (7, 5), "bfloat16", marks=pytest.mark.slow),
        pytest.param("skip_gru", (7, 5), "float16", marks=pytest.mark.slow),
    ],
)
def test_tensorflow_in_low_precision(cell: str, units: tuple[int, ...], dtype: str) -> None:
    """Both engines as near to the exact values as sums in this precision are, over updates and skips.

    From each other they may be twice as far: of a sum that cancels, each may round to another side, by processor.
    """
    spec = CellSpec(cell=cell, input_size=3, units=units, update_bias=-1.0)
    case = random_case(spec, batch=6, time=15, gate_scale=0.1)
    exact = run_engine("tensorflow", "reference", case)
    for engine in ("fast", "reference"):
        found = run_engine("tensorflow", engine, case, dtype=dtype)
        np.testing.assert_array_equal(found.gates, exact.gates)
        np.testing.assert_allclose(found.h, exact.h, rtol=0, atol=0.05 if dtype == "bfloat16" else 5e-3)
        off = relative_differences(found.gradients, exact.gradients)
        assert {name: far for name, far in off.items() if not far <= (0.1 if dtype == "bfloat16" else 0.02)} == {}


# From a size whose square is a number to one whose square is none.
SINGLE = [*np.logspace(17.5, 20.5, 30), 1e30, 3e38]
DOUBLE = [*np.logspace(152.5, 155.5, 30), 1e200, 1e308]


@pytest.mark.parametrize(
    ("cell", "dtype", "sizes"),
    [
        ("lstm", "float32", SINGLE),
        pytest.param("skip_gru", "float32", SINGLE, marks=pytest.mark.slow),
        ("gru", "float64", DOUBLE),
        pytest.param("skip_lstm", "float64", DOUBLE, marks=pytest.mark.slow),
    ],
)
def test_layer_norm_of_what_has_no_square_is_nan(cell: str, dtype: str, sizes: list[float]) -> None:
    """In every engine from the same size on, with its gradients; a smaller one is normalised, however large."""
    case = with_large_inputs(CellSpec(cell=cell, input_size=2, units=(9,), layer_norm=True), np.array(sizes))
    expected = run_engine("pytorch", "reference", case, dtype=dtype)
    lost = np.isnan(expected.h[:, 0]).all(axis=1)
    assert lost.tolist() == [*sorted(lost[:-1].tolist()), False]
    assert 5 < lost.sum() < 30
    for framework, engine in (*ENGINES[1:], OPERATIONS):
        found = run_engine(framework, engine, case, dtype=dtype)
        np.testing.assert_allclose(found.h, expected.h, rtol=0, atol=1e-5)
        for name in case.parameters:
            assert np.isnan(found.gradients[name]).all(), (framework, engine, name)


@pytest.mark.parametrize("cell", ["lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_layer_norm_of_float16_is_taken_in_float32(cell: str) -> None:
    """Pre-activations of some thousands, whose squares are no float16."""
    case = with_large_inputs(CellSpec(cell=cell, input_size=2, units=(9,), layer_norm=True), np.array([900.0, 4000.0]))
    expected = run_engine("pytorch", "reference", case)
    for framework, engine in (*ENGINES, OPERATIONS):
        found = run_engine(framework, engine, case, dtype="float16")
        np.testing.assert_allclose(found.h, expected.h, rtol=0, atol=0.005)
        differences = relative_differences(found.gradients, expected.gradients)
        assert max(differences.values()) < 0.02, (framework, engine, differences)
