"""PyTorch's cells and layers as modules: states, axes, state dictionaries, copies, moves, compiling, exporting."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from impls.contract import CellSpec
from impls.errors import CellError, ParameterError
from impls.kinds import LSTMState, SkipGRUState, SkipLSTMState, cells
from impls.parameters import cell_shapes
from impls.pytorch import (
    GRU,
    LSTM,
    GRUCell,
    LSTMCell,
    MultiGRUCell,
    MultiLSTMCell,
    MultiSkipGRUCell,
    MultiSkipLSTMCell,
    SkipGRU,
    SkipGRUCell,
    SkipLSTM,
    SkipLSTMCell,
)
from impls.states import Outputs
from tests.impls.frameworks import leaves

LAYERS = (LSTM, GRU, SkipLSTM, SkipGRU)
X = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(7))


def assert_same(ours: Any, theirs: Any) -> None:
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_cell_steps_like_torchs_own() -> None:
    cell = SkipLSTMCell(5, input_size=3)
    outputs, state = cell(X[:, 0])
    assert isinstance(outputs, Outputs)
    assert isinstance(state, SkipLSTMState)
    assert [tuple(leaf.shape) for leaf in (*outputs, *state)] == [(4, 5), (4, 1), (4, 5), (4, 5), (4, 1), (4, 1)]
    again, _ = cell(X[:, 0], cell.trainable_initial_state(4))
    assert_same(outputs, again)
    _, _ = cell(X[:, 1], tuple(state))  # plain tuples do


@pytest.mark.parametrize(
    ("cell", "structure"),
    [
        (LSTMCell(5, input_size=3), LSTMState(5, 5)),
        (GRUCell(5, input_size=3), 5),
        (SkipLSTMCell(5, input_size=3), SkipLSTMState(5, 5, 1, 1)),
        (SkipGRUCell(5, input_size=3), SkipGRUState(5, 1, 1)),
        (MultiLSTMCell((4, 5), input_size=3), (LSTMState(4, 4), LSTMState(5, 5))),
        (MultiGRUCell((4, 5), input_size=3), (4, 5)),
        (MultiSkipLSTMCell((4, 5), input_size=3), (LSTMState(4, 4), SkipLSTMState(5, 5, 1, 1))),
        (MultiSkipGRUCell((4, 5), input_size=3), (4, SkipGRUState(5, 1, 1))),
        (MultiSkipGRUCell((4,), input_size=3), (SkipGRUState(4, 1, 1),)),
    ],
)
def test_state_has_the_authors_structure(cell: nn.Module, structure: Any) -> None:
    assert cell.state_size == structure
    assert cell.output_size == Outputs(cell.spec.units[-1], 1)
    _, state = cell(X[:, 0])
    assert [leaf.shape[1] for leaf in leaves(state)] == leaves(structure)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_initial_state_may_be_changed_in_place(batch_size: int) -> None:
    """It is the caller's: the learned rows stay what they are, and still get their gradient."""
    cell = LSTMCell(5, input_size=3, seed=1)
    learned = cell.export_parameters()["layers.0.initial_c"]
    state = cell.trainable_initial_state(batch_size)
    with torch.no_grad():
        state.c[0] = 0
    np.testing.assert_array_equal(cell.export_parameters()["layers.0.initial_c"], learned)
    state.c.sum().backward()
    assert cell.get_parameter("layers.0.initial_c").grad.tolist() == [[batch_size] * 5]


@pytest.mark.parametrize("units", [5, (2, 5)])
@pytest.mark.parametrize("layer_class", LAYERS)
def test_sequence_continues_from_a_given_state(layer_class: type, units: Any) -> None:
    layer = layer_class(units, input_size=3, dtype="float64")
    whole, last = layer(X.double())
    first, state = layer(X[:, :2].double())
    for given in (state, leaves(state)):
        second, final = layer(X[:, 2:].double(), given)
        torch.testing.assert_close(torch.cat([first.h, second.h], dim=1), whole.h, rtol=0, atol=1e-14)
        for one, other in zip(leaves(final), leaves(last), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-14)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_time_may_come_first(layer_class: type) -> None:
    layer = layer_class(5, input_size=3, seed=1)
    other = layer_class(5, input_size=3, seed=1, batch_first=False)
    (h, gates), state = layer(X)
    (swapped_h, swapped_gates), swapped_state = other(X.transpose(0, 1))
    assert_same((h.transpose(0, 1), gates.transpose(0, 1)), (swapped_h, swapped_gates))
    assert_same(state, swapped_state)


def test_draws_follow_the_axes_of_the_inputs() -> None:
    noise = torch.rand(4, 6)
    layer = SkipGRU(5, input_size=3, seed=1, gate="bernoulli")
    other = SkipGRU(5, input_size=3, seed=1, gate="bernoulli", batch_first=False)
    ours, theirs = layer(X, gate_noise=noise)[0], other(X.transpose(0, 1), gate_noise=noise.T)[0]
    assert_same(ours.state_gate.transpose(0, 1), theirs.state_gate)


@pytest.mark.parametrize("cell", cells())
def test_state_dictionary_has_the_canonical_names(cell: str) -> None:
    layer_class = dict(zip(cells(), LAYERS, strict=True))[cell]
    layer = layer_class((2, 5), input_size=3, layer_norm=True)
    shapes = cell_shapes(CellSpec(cell=cell, input_size=3, units=(2, 5), layer_norm=True))
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == shapes


def test_layer_trains_and_moves_between_types() -> None:
    torch.manual_seed(1)
    layer = SkipLSTM((4, 5), input_size=3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        outputs, _ = layer(X)
        loss = ((outputs.h[:, -1] - X[:, 0, :1].tanh()) ** 2).mean() + 1e-2 * outputs.state_gate.sum(1).mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    doubled = copy.deepcopy(layer).to(torch.float64)
    torch.testing.assert_close(doubled(X.double())[0].h.float(), layer(X)[0].h, rtol=0, atol=1e-5)
    assert layer.to(torch.bfloat16)(X.bfloat16())[0].h.dtype == torch.bfloat16


def test_layer_works_without_values_on_the_meta_device() -> None:
    outputs, _ = SkipGRU((4, 5), input_size=3).to("meta")(X.to("meta"))
    assert outputs.h.shape == (4, 6, 5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device")
@pytest.mark.parametrize("layer_class", LAYERS)
def test_layer_moves_to_the_gpu(layer_class: type) -> None:
    layer = layer_class((4, 5), input_size=3, dtype="float64")
    there, _ = copy.deepcopy(layer).to("cuda")(X.double().to("cuda"))
    torch.testing.assert_close(there.h.cpu(), layer(X.double())[0].h, rtol=0, atol=1e-12)


def test_compiled_layer_computes_the_same() -> None:
    """With the backend that traces both passes and compiles neither."""
    layer = SkipLSTM((3,), input_size=3, layer_norm=True, engine="reference")
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x = X[:, :3]
    ours, theirs = compiled(x), layer(x)
    assert isinstance(ours[0], Outputs)
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    gradients = [
        torch.autograd.grad(outputs.h.sum() + outputs.state_gate.sum(), list(layer.parameters()))
        for outputs, _ in (ours, theirs)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_exported_layer_takes_any_batch_and_can_be_saved(tmp_path: Path) -> None:
    layer = SkipGRU(4, input_size=3, engine="reference")
    exported = torch.export.export(layer, (X[:, :3],), dynamic_shapes={"inputs": {0: torch.export.Dim("batch")}})
    torch.export.save(exported, tmp_path / "layer.pt2")
    loaded = torch.export.load(tmp_path / "layer.pt2").module()
    x = torch.randn(9, 3, 3)
    assert isinstance(loaded(x)[0], Outputs)
    assert_same(loaded(x), layer(x))


def test_torchs_seed_rules_modules_without_a_seed() -> None:
    drawn: list[Tensor] = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(SkipGRU(5, input_size=3).get_parameter("layers.0.gate_weights"))
    assert_same(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_layer_prints_its_sizes() -> None:
    assert "SkipGRU(\n  input_size=3, units=(4, 5), engine=" in repr(SkipGRU((4, 5), input_size=3))


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_pruned_weights_stay_zero_while_the_others_learn(engine: str) -> None:
    layer = SkipLSTM(3, input_size=3, seed=0, engine=engine)
    prune.l1_unstructured(layer.get_submodule("layers.0"), "weights", amount=0.5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.export_parameters()["layers.0.weights"]
    for _ in range(2):
        optimizer.zero_grad()
        layer(X)[0].h.sum().backward()
        optimizer.step()
    after = layer.export_parameters()["layers.0.weights"]
    assert ((after == 0) == (before == 0)).all()
    assert (after[before != 0] != before[before != 0]).all()
    with pytest.raises(ParameterError, match=r"'layers\.0\.weights' is pruned or parametrized"):
        layer.load_parameters(layer.export_parameters())


class Twice(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return 2 * value


def test_parameters_may_be_parametrized_or_tied() -> None:
    plain, doubled = (SkipGRU(3, input_size=3, seed=0) for _ in range(2))
    parametrize.register_parametrization(doubled.get_submodule("layers.0"), "gate_weights", Twice())
    plain.load_parameters(
        {name: value * (1 + name.endswith("gate_weights")) for name, value in plain.export_parameters().items()}
    )
    assert_same(doubled(X), plain(X))

    tied = SkipGRU((4, 4), input_size=3, seed=0)
    tied.get_submodule("layers.1").initial_h = tied.get_submodule("layers.0").initial_h
    assert list(tied.export_parameters()) == list(SkipGRU((4, 4), input_size=3).export_parameters())
    tied(X)[0].h.sum().backward()
    with pytest.raises(ParameterError, match=r"'layers\.1\.initial_h' and 'layers\.0\.initial_h' are one parameter"):
        tied.load_parameters(tied.export_parameters() | {"layers.0.initial_h": torch.ones(1, 4)})


@pytest.mark.parametrize("value", ["text", None, [[1.0], [1.0, 2.0]]], ids=str)
def test_parameters_that_are_no_numbers_are_named(value: Any) -> None:
    layer = SkipGRU(3, input_size=3, seed=0)
    with pytest.raises(ParameterError, match=r"'layers\.0\.gate_biases' holds no numbers of one shape"):
        layer.load_parameters(layer.export_parameters() | {"layers.0.gate_biases": value})


@pytest.mark.parametrize("form", [Tensor.clone, Tensor.numpy, Tensor.tolist])
def test_parameters_are_loaded_from_arrays_tensors_or_lists(form: Any) -> None:
    one, other = (SkipGRU(3, input_size=3, seed=seed) for seed in (0, 1))
    one.load_parameters({name: form(value) for name, value in other.state_dict().items()})
    assert_same(one(X), other(X))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("layer_class", LAYERS)
def test_traced_layer_computes_the_same(layer_class: type) -> None:
    """`torch.jit.trace` records the reference's operations."""
    layer = layer_class(5, input_size=3, seed=0, engine="fast")
    traced = torch.jit.trace(layer, X)
    for ours, theirs in zip(leaves(traced(X + 1)), leaves(layer(X + 1)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_inputs_may_be_a_view_that_changes_signs() -> None:
    layer = SkipGRU(3, input_size=3, seed=0)
    imaginary = torch.complex(X, X).conj().imag
    assert_same(layer(imaginary), layer(imaginary.clone()))


@pytest.mark.parametrize("register", ["register_full_backward_hook", "register_full_backward_pre_hook"])
@pytest.mark.parametrize("module", [SkipGRU(3, input_size=3), LSTMCell(3, input_size=3)], ids=["layer", "cell"])
def test_hooks_that_would_never_run_are_refused(module: nn.Module, register: str) -> None:
    with pytest.raises(CellError, match=f"{register}: .*; use outputs.h.register_hook on what a call returns$"):
        getattr(module, register)(lambda *_: None)
    seen: list[Tensor] = []
    outputs, _ = module(X if isinstance(module, SkipGRU) else X[:, 0])
    outputs.h.register_hook(seen.append)
    outputs.h.sum().backward()
    assert seen[0].shape == outputs.h.shape


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_outputs_may_be_changed_in_place(engine: str) -> None:
    outputs, _ = SkipGRU(3, input_size=3, seed=0, engine=engine)(X)
    outputs.h.mul_(2).sum().backward()
    outputs.state_gate.mul_(2)


@pytest.mark.parametrize("layer_class", [SkipGRU, GRU])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gates_are_the_callers_to_change_in_place(layer_class: Any, dtype: str) -> None:
    """Kernels compute in float32, operations in bfloat16; neither's gradient reads what the caller has."""
    x = torch.ones(2, 5, 2, dtype=getattr(torch, dtype))
    gradients = []
    for change in (False, True):
        layer = layer_class(3, input_size=2, seed=0, dtype=dtype, engine="fast")
        outputs, _ = layer(x)
        h = outputs.h.sum()
        if change:
            with torch.no_grad():
                outputs.state_gate.mul_(2)
        h.backward()
        gradients.append([value.grad for value in layer.parameters() if value.grad is not None])
    assert gradients[0]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
