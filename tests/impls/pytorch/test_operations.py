"""PyTorch's fast engine in operations, on the CPU: against the reference engine, in every precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impls.contract import ACTIVATIONS, CellSpec
from impls.kinds import cells, skip_cells
from impls.pytorch.equations import initial_state
from tests.impls.engines import assert_agree, random_case, relative_differences, run_engine, unroll_operations
from tests.impls.frameworks import parameters_for

many = settings(max_examples=40, deadline=None, derandomize=True)


@many
@given(
    seed=st.integers(0, 2**16),
    cell=st.sampled_from(cells()),
    units=st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    features=st.integers(1, 7),
    batch=st.integers(1, 6),
    time=st.integers(1, 12),
    activation=st.sampled_from(ACTIVATIONS),
    layer_norm=st.booleans(),
    gate=st.sampled_from(("round", "bernoulli")),
    lengths=st.booleans(),
    every_step=st.booleans(),
    updates=st.sampled_from((None, 0.0, 0.4)),
)
def test_against_the_reference(
    seed: int,
    cell: str,
    units: tuple[int, ...],
    features: int,
    batch: int,
    time: int,
    activation: str,
    layer_norm: bool,
    gate: str,
    lengths: bool,
    every_step: bool,
    updates: float | None,
) -> None:
    skips = cell in skip_cells()
    spec = CellSpec(
        cell=cell,
        input_size=features,
        units=units,
        activation=activation,
        layer_norm=layer_norm,
        gate=gate if skips else "round",
        gate_layer=seed % len(units),
        update_bias=-1.0,
    )
    case = random_case(
        spec,
        batch=batch,
        time=time,
        seed=seed,
        lengths=lengths,
        every_step=every_step,
        updates=None if skips else updates,
    )
    expected = run_engine("pytorch", "reference", case)
    if case.lengths is not None:
        case.inputs[np.arange(time) >= case.lengths[:, np.newaxis]] = np.nan
    assert_agree(run_engine("pytorch", "operations", case), expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("cell", cells())
def test_low_precision(cell: str, dtype: str) -> None:
    """Outputs are the reference engine's to the bit; gradients are as near to those of float32 as its own."""
    spec = CellSpec(cell=cell, input_size=3, units=(7, 5), update_bias=-1.0)
    case = random_case(spec, batch=6, time=15, lengths=True)
    ours, theirs = (run_engine("pytorch", engine, case, dtype=dtype) for engine in ("operations", "reference"))
    for mine, other in zip([ours.h, ours.gates, *ours.state], [theirs.h, theirs.gates, *theirs.state], strict=True):
        np.testing.assert_array_equal(mine, other)
    near = relative_differences(ours.gradients, theirs.gradients)
    assert {name: value for name, value in near.items() if not value <= (0.1 if dtype == "bfloat16" else 0.02)} == {}


def test_states_and_inputs_changed_between_forward_and_backward() -> None:
    """A change in place is seen by autograd, or does not reach the gradient."""
    spec = CellSpec(cell="skip_gru", input_size=2, units=(4,), update_bias=-1.0)
    parameters = {
        name: torch.tensor(value, requires_grad=True)
        for name, value in parameters_for(spec).items()
        if ".initial_" not in name
    }

    def gradients(changed: str) -> list[np.ndarray]:
        inputs = torch.tensor(np.random.default_rng(0).normal(size=(3, 6, 2)))
        start = initial_state(spec, {"layers.0.initial_h": torch.ones(1, 4)}, batch=3, like=inputs)
        start = start._replace(layers=((torch.ones(3, 4, dtype=torch.float64),),))
        lengths = torch.tensor([2, 6, 4])
        h = unroll_operations(spec, parameters, inputs, start, every_step=True, lengths=lengths).h
        tensors = {"inputs": inputs, "state": start.layers[0][0], "update_prob": start.gate[0], "lengths": lengths}
        if changed:
            tensors[changed].zero_()
        return [value.numpy() for value in torch.autograd.grad(h.sum(), [*parameters.values()])]

    expected = gradients("")
    for changed in ("inputs", "state", "update_prob", "lengths"):
        for ours, theirs in zip(gradients(changed), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    inputs = torch.zeros(3, 6, 2, dtype=torch.float64)
    start = initial_state(spec, {"layers.0.initial_h": torch.ones(1, 4).double()}, batch=3, like=inputs)
    h = unroll_operations(spec, parameters, inputs, start, every_step=True).h
    inputs.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(h.sum(), [*parameters.values()])
