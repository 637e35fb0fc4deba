"""Both engines of both frameworks against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from impls.contract import Array, CellSpec
from impls.kinds import skip_cells
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


@pytest.mark.parametrize("cell", skip_cells())
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
    for found in results.values():
        np.testing.assert_array_equal(found.gates, expected.gates)
        np.testing.assert_allclose(found.h, expected.h, rtol=0, atol=2e-5)
        differences = relative_differences(found.gradients, expected.gradients)
        assert {name: value for name, value in differences.items() if not value <= 1e-3} == {}


@pytest.mark.parametrize("cell", skip_cells())
def test_ties_at_skipped_steps(cell: str) -> None:
    """A Bernoulli gate skips whatever ũ is where the noise is 1: the one way to skip at a tie, of Δũ = 1 and ũ = 0."""
    spec = CellSpec(cell=cell, input_size=2, units=(5,), gate="bernoulli")
    case = random_case(spec, batch=4, time=9, fresh=True)
    case.draws["gate_noise"][::2, 0] = 1.0
    expected = run_engine("pytorch", "reference", case)
    assert expected.gates[:, 0, 0].tolist() == [0, 1, 0, 1]
    for framework, engine in ENGINES[1:]:
        assert_agree(run_engine(framework, engine, case), expected)
