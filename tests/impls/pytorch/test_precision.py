"""`torch.autocast` and low precision: cells and layers keep their parameters' type, the gate's scalars float32."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from impls.contract import ENGINES
from impls.errors import CellError
from impls.pytorch import GRU, LSTM, MultiSkipGRUCell, SkipGRU, SkipGRUCell, SkipLSTM, SkipLSTMCell
from tests.impls.frameworks import leaves

LAYERS = (LSTM, GRU, SkipLSTM, SkipGRU)
X = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(7))


def results(module: Any, x: torch.Tensor, low: torch.dtype | None) -> list[torch.Tensor]:
    """Outputs, state, and gradients of the parameters and of x."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", low or torch.bfloat16, enabled=low is not None):
        outputs = leaves(module(x))
    gradients = torch.autograd.grad(sum((value**2).sum() for value in outputs), [*module.parameters(), x])
    return [*outputs, *gradients]


def assert_autocast_changes_nothing(module: Any, x: torch.Tensor) -> None:
    expected = results(module, x, None)
    for low in (torch.bfloat16, torch.float16):
        for one, other in zip(results(module, x, low), expected, strict=True):
            assert one.dtype == other.dtype
            torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer_class", LAYERS)
def test_layer_computes_the_same_under_autocast(layer_class: type, engine: str) -> None:
    assert_autocast_changes_nothing(layer_class((4, 5), input_size=3, seed=1, layer_norm=True, engine=engine), X)


@pytest.mark.parametrize("cell", [SkipLSTMCell(5, input_size=3), MultiSkipGRUCell((4, 5), input_size=3)])
def test_cell_computes_the_same_under_autocast(cell: Any) -> None:
    assert_autocast_changes_nothing(cell, X[:, 0])


@pytest.mark.parametrize("engine", ENGINES)
def test_layer_between_others_takes_what_autocast_made_of_them(engine: str) -> None:
    below, layer = torch.nn.Linear(3, 3), SkipGRU(5, input_size=3, seed=1, engine=engine)
    with torch.autocast("cpu", torch.bfloat16):
        low = below(X)
        assert low.dtype == torch.bfloat16
        outputs, _ = layer(low)
    assert outputs.h.dtype == torch.float32
    torch.testing.assert_close(outputs.h, layer(low.float())[0].h, rtol=0, atol=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer_class", LAYERS)
def test_layer_starts_from_a_state_that_autocast_made(layer_class: type, engine: str) -> None:
    layer = layer_class(5, input_size=3, seed=1, engine=engine)
    _, state = layer(X)
    low = torch.utils._pytree.tree_map(lambda leaf: leaf.bfloat16(), state)
    with pytest.raises(CellError, match=r"^state: \w of layer 0 is bfloat16 where float32 is needed$"):
        layer(X, low)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, _ = layer(X, low)
    wide = torch.utils._pytree.tree_map(lambda leaf: leaf.float(), low)
    torch.testing.assert_close(outputs.h, layer(X, wide)[0].h, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", ["layers.1.candidate_biases", "update_gate.weights"])
@pytest.mark.parametrize("engine", ENGINES)
def test_parameters_have_one_type(engine: str, name: str, dtype: torch.dtype) -> None:
    layer = SkipGRU((4, 5), input_size=3, engine=engine)
    parameter = layer.get_parameter(name)
    parameter.data = parameter.data.to(dtype)
    message = f"parameter '{name}' is {str(dtype)[6:]} where 'layers.0.gate_weights' is float32: convert one of them"
    with pytest.raises(CellError, match=f"^{re.escape(message)}$"):
        layer(X)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layer_class", [SkipLSTM, SkipGRU])
def test_gate_scalars_of_a_low_state_are_float32(layer_class: type, dtype: torch.dtype, engine: str) -> None:
    layer = layer_class(5, input_size=3, dtype=dtype, engine=engine)
    _, state = layer(X.to(dtype))
    assert {leaf.dtype for leaf in state[:-2]} == {dtype}
    assert state.update_prob.dtype == state.cum_update_prob.dtype == torch.float32
    layer(X.to(dtype), state)
    low = type(state)(*(leaf.to(dtype) for leaf in state))
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(CellError, match=f"^state: update_prob is {name} where float32 is needed$"):
        layer(X.to(dtype), low)


def test_low_cell_takes_small_steps_towards_its_update() -> None:
    """Δũ of 2⁻¹⁰ added to ũ a thousand times: bfloat16 would stand still at 0.25 and never update again."""
    cell = SkipGRUCell(2, input_size=1, dtype="bfloat16", seed=1)
    with torch.no_grad():
        cell.get_parameter("update_gate.weights").zero_()
        cell.get_parameter("update_gate.biases").fill_(-6.9375)  # a bfloat16; σ of it is 0.00097
    state, gates = None, []
    with torch.no_grad():
        for _ in range(600):
            outputs, state = cell(torch.zeros(1, 1, dtype=torch.bfloat16), state)
            gates.append(outputs.state_gate.item())
    assert gates[0] == 1
    assert sum(gates) == 2
