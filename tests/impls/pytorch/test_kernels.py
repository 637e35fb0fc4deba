"""The compiled kernels between the tested corners: lengths, NaN, threads, what a caller changes, wrong sizes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from impls.contract import CellSpec  # noqa: E402
from impls.kinds import cells, skip_cells  # noqa: E402
from impls.pytorch import SkipGRU, SkipLSTM  # noqa: E402
from impls.pytorch.engines import unroll  # noqa: E402
from impls.pytorch.engines.kernels import function  # noqa: E402
from impls.pytorch.equations import initial_state  # noqa: E402
from impls.states import FlatState  # noqa: E402
from tests.impls.frameworks import parameters_for  # noqa: E402
from tests.impls.test_fast_pytorch import case_for, compare  # noqa: E402

ROOT = Path(__file__).parents[3]


@settings(max_examples=40, deadline=None)
@given(
    cell=st.sampled_from(cells()),
    units=st.sampled_from([(1,), (9,), (17, 3)]),
    seed=st.integers(0, 2**20),
    batch=st.sampled_from([1, 5, 33, 70]),
    time=st.integers(1, 25),
    bias=st.sampled_from([-3.0, -1.0, 1.0]),
    bernoulli=st.booleans(),
    layer_norm=st.booleans(),
    updates=st.sampled_from([None, 0.4]),
)
def test_sequences_of_different_lengths(
    cell: str,
    units: tuple[int, ...],
    seed: int,
    batch: int,
    time: int,
    bias: float,
    bernoulli: bool,
    layer_norm: bool,
    updates: float | None,
) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=units, update_bias=bias, layer_norm=layer_norm and units != (1,))
    if spec.skips:
        updates = None
        spec = CellSpec(**{**vars(spec), "gate": "bernoulli" if bernoulli else "round"})
    compare(case_for(spec, batch=batch, time=time, seed=seed, updates=updates, lengths=True))


@pytest.mark.parametrize("cell", cells())
def test_lengths_are_as_sequences_run_one_by_one(cell: str) -> None:
    case = case_for(CellSpec(cell=cell, input_size=2, units=(5, 6), update_bias=-1.0), batch=40, time=15, lengths=True)
    spec = case.spec
    parameters = {name: torch.tensor(value) for name, value in case.parameters.items()}
    inputs, lengths = torch.tensor(case.inputs), torch.tensor(case.lengths)
    start = initial_state(
        CellSpec(**{**vars(spec), "initial_state": "zeros"}), parameters, batch=len(inputs), like=inputs
    )
    together = unroll(spec, parameters, inputs, start, lengths=lengths, engine="fast")
    for row, length in enumerate(case.lengths):
        if length == 0:
            assert torch.equal(together.state.layers[-1][-1][row], start.layers[-1][-1][row])
            continue
        own = FlatState(
            tuple(tuple(leaf[row : row + 1] for leaf in layer) for layer in start.layers),
            tuple(part[row : row + 1] for part in start.gate),
        )
        alone = unroll(spec, parameters, inputs[row : row + 1, :length], own, engine="fast")
        assert torch.equal(together.h[row, :length], alone.h[0])
        assert torch.equal(together.gates[row, :length], alone.gates[0])
        assert (together.gates[row, length:] == 0).all()
        assert (together.h[row, length:] == alone.h[0, -1]).all()
        for ours, theirs in zip(together.state.gate, alone.state.gate, strict=True):
            assert torch.equal(ours[row], theirs[0])


@pytest.mark.parametrize("gate", ["round", "bernoulli"])
@pytest.mark.parametrize("where", ["input", "stored", "carried", "weights"])
@pytest.mark.parametrize("cell", skip_cells())
def test_a_gate_that_reads_nan_passes_it_on(cell: str, where: str, gate: str) -> None:
    """As the reference does: gates, h and state are NaN from there on, and other sequences know nothing of it."""
    spec = CellSpec(cell=cell, input_size=2, units=(5,), update_bias=-1.0, gate=gate)
    case = case_for(spec, batch=4, time=12, seed=3)
    inputs, state = torch.tensor(case.inputs), [torch.tensor(leaf) for leaf in case.state]
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in case.parameters.items()}
    if where == "input":
        inputs[1, :] = torch.nan
    elif where == "weights":
        with torch.no_grad():
            parameters["update_gate.weights"][0] = torch.nan
    else:
        state[-1 if where == "stored" else -2][1] = torch.nan
    leaves = state[:-2]
    start = FlatState((tuple(leaves),), tuple(state[-2:]))
    draws = {name: torch.tensor(draw) for name, draw in case.draws.items()}
    found = {}
    for engine in ("reference", "fast"):
        unrolled = unroll(spec, parameters, inputs, start, engine=engine, **draws)
        loss = unrolled.h.sum() + unrolled.gates.sum()
        gradients = torch.autograd.grad(loss, [*parameters.values()])
        found[engine] = [unrolled.gates, unrolled.h, *unrolled.state.layers[0], *unrolled.state.gate]
        assert all(gradient.isnan().any() for gradient in gradients)
    # The reference multiplies the candidate of a skipped step by 0, which NaN survives; the kernels do not make it.
    # From the first gate that reads NaN on they are alike, and before it wherever the reference has numbers.
    spoiled = found["fast"][0].isnan()[:, :, 0]
    assert spoiled[1].any()
    assert where == "weights" or not spoiled[[0, 2, 3]].any()
    for row, first in enumerate(torch.where(spoiled.any(dim=1), spoiled.int().argmax(dim=1), 12).tolist()):
        assert found["fast"][0][row, first:].isnan().all()
        assert found["fast"][1][row, first:].isnan().all()
        assert all(leaf[row].isnan().all() for leaf in found["fast"][2:]) == (first < 12)
    for ours, theirs in zip(found["fast"], found["reference"], strict=True):
        assert theirs[ours.isnan()].isnan().all()
        numbers = ~theirs.isnan()
        torch.testing.assert_close(ours[numbers], theirs[numbers], rtol=0, atol=1e-12)


def trained(threads: int, cell: str, *, batch: int) -> list[torch.Tensor]:
    """Outputs and gradients of a layer on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        layer = (SkipLSTM if cell == "skip_lstm" else SkipGRU)((24, 17), input_size=3, update_bias=-1.0, seed=2)
        inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(batch, 30, 3)).astype(np.float32))
        inputs.requires_grad_()
        outputs, _ = layer(inputs)
        loss = (outputs.h * outputs.h).sum() + outputs.state_gate.sum()
        return [outputs.h.detach(), *torch.autograd.grad(loss, [*layer.parameters(), inputs])]
    finally:
        torch.set_num_threads(before)


@pytest.mark.covering
@pytest.mark.parametrize("cell", skip_cells())
@pytest.mark.parametrize("batch", [7, 33, 100, 260])
def test_threads_change_no_bit(cell: str, batch: int) -> None:
    expected = trained(1, cell, batch=batch)
    for threads in (2, 3, 5):
        for ours, theirs in zip(trained(threads, cell, batch=batch), expected, strict=True):
            assert torch.equal(ours, theirs)


def test_threads_may_change_between_forward_and_backward() -> None:
    """In a process of its own, which a kernel that wrote outside of its memory would end."""
    changes = ["1 to 3", "3 to 1", "2 to 4", "threadpoolctl"]
    program = f"""
import contextlib, torch
from impls.pytorch import SkipLSTM
from threadpoolctl import threadpool_limits

layer = SkipLSTM(110, input_size=2, update_bias=-1.0, seed=1)
inputs = torch.randn(50, 40, 2)

def gradients(first, second, limited):
    torch.set_num_threads(first)
    loss = layer(inputs)[0].h.square().sum()
    torch.set_num_threads(second)
    with threadpool_limits(limits=1) if limited else contextlib.nullcontext():
        return torch.autograd.grad(loss, [*layer.parameters()])

expected = gradients(1, 1, False)
for change in {changes!r}:
    first, second = (2, 2) if change == "threadpoolctl" else map(int, change.split(" to "))
    for _ in range(5):
        found = gradients(first, second, change == "threadpoolctl")
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True)), change
    print(change, flush=True)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert (done.returncode, done.stdout.splitlines()) == (0, changes), done.stderr


def test_three_threads_train_three_layers_at_once() -> None:
    def work(seed: int, found: dict[int, list[torch.Tensor]]) -> None:
        layer = SkipLSTM(20, input_size=2, update_bias=-1.0, seed=seed)
        optimizer = torch.optim.SGD(layer.parameters(), lr=1e-2)
        inputs = torch.from_numpy(np.random.default_rng(seed).normal(size=(40, 25, 2)).astype(np.float32))
        for _ in range(10):
            optimizer.zero_grad()
            layer(inputs)[0].h.square().sum().backward()
            optimizer.step()
        found[seed] = [parameter.detach().clone() for parameter in layer.parameters()]

    alone: dict[int, list[torch.Tensor]] = {}
    together: dict[int, list[torch.Tensor]] = {}
    for seed in range(3):
        work(seed, alone)
    threads = [threading.Thread(target=work, args=(seed, together)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(3):
        assert all(torch.equal(one, other) for one, other in zip(alone[seed], together[seed], strict=True))


def test_what_a_caller_changes_after_the_forward_pass() -> None:
    """What the gradient reads of a given state is a copy, and autograd refuses changed inputs."""
    spec = CellSpec(cell="skip_lstm", input_size=2, units=(4,), update_bias=-1.0)
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in parameters_for(spec).items()}
    inputs = torch.randn(3, 9, 2, dtype=torch.float64)
    fresh = initial_state(spec, {name: value.detach() for name, value in parameters.items()}, batch=3, like=inputs)

    def gradients(spoil: bool) -> list[torch.Tensor]:
        state = FlatState(
            tuple(tuple(leaf.clone() for leaf in layer) for layer in fresh.layers),
            tuple(torch.full_like(part, 0.3) for part in fresh.gate),
        )
        unrolled = unroll(spec, parameters, inputs, state, engine="fast")
        if spoil:
            for leaf in (*state.layers[0], *state.gate):
                leaf.fill_(7.0)
        wanted = [value for name, value in parameters.items() if ".initial_" not in name]
        return list(torch.autograd.grad(unrolled.h.sum() + unrolled.gates.sum(), wanted))

    for ours, theirs in zip(gradients(True), gradients(False), strict=True):
        assert torch.equal(ours, theirs)
    unrolled = unroll(spec, parameters, inputs, fresh, engine="fast")
    inputs.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        unrolled.h.sum().backward()


def test_kernels_refuse_memory_of_another_size(monkeypatch) -> None:
    """Whatever cut the batch in another way would write where nothing is."""
    layer = SkipLSTM(4, input_size=2)
    inputs = torch.randn(70, 5, 2)
    loss = layer(inputs)[0].h.sum()
    monkeypatch.setattr(function, "slab_count", lambda batch: 1)
    with pytest.raises(ValueError, match="not those of this batch"):
        loss.backward()
    empty_tape = function._empty_tape
    monkeypatch.setattr(function, "_empty_tape", lambda layout, **sizes: empty_tape(layout, **{**sizes, "steps": 3}))
    with pytest.raises(ValueError, match="too small"):
        layer(inputs)
