"""The plain cells against the frameworks' own, where the equations coincide, with weights mapped across."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

from impls.contract import FRAMEWORKS, Array, CellSpec, Parameters
from tests.impls.frameworks import FORMS, build, forward, parameters_for

FEATURES, UNITS = 3, 5
X = np.random.default_rng(5).normal(size=(4, 8, FEATURES))


def spec_of(cell: str) -> CellSpec:
    return CellSpec(cell=cell, input_size=FEATURES, units=(UNITS,), initial_state="zeros")


def gates_of(array: Array, order: str, *, ours: str) -> list[Array]:
    """The blocks of one matrix's columns in another order."""
    blocks = dict(zip(ours, np.split(array, len(ours), axis=-1), strict=True))
    return [blocks[gate] for gate in order]


def torch_lstm(parameters: Parameters, *, forget_bias: float) -> torch.nn.LSTM:
    """PyTorch's order is i, f, g, o, rows before columns; its forget bias stands in the bias."""
    weights = np.concatenate(gates_of(parameters["layers.0.weights"], "ifjo", ours="ijfo"), axis=1)
    biases = np.concatenate(gates_of(parameters["layers.0.biases"], "ifjo", ours="ijfo"))
    biases[UNITS : 2 * UNITS] += forget_bias
    layer = torch.nn.LSTM(FEATURES, UNITS, batch_first=True, dtype=torch.float64)
    layer.load_state_dict(
        {
            "weight_ih_l0": torch.tensor(weights[:FEATURES].T),
            "weight_hh_l0": torch.tensor(weights[FEATURES:].T),
            "bias_ih_l0": torch.tensor(biases),
            "bias_hh_l0": torch.zeros(4 * UNITS),
        }
    )
    return layer


def keras_lstm(parameters: Parameters, *, forget_bias: float) -> keras.layers.LSTM:
    """Keras's order is i, f, c, o; its forget bias is only an initial value of the bias."""
    weights = np.concatenate(gates_of(parameters["layers.0.weights"], "ifjo", ours="ijfo"), axis=1)
    biases = np.concatenate(gates_of(parameters["layers.0.biases"], "ifjo", ours="ijfo"))
    biases[UNITS : 2 * UNITS] += forget_bias
    layer = keras.layers.RNN(keras.layers.LSTMCell(UNITS, dtype="float64"), return_sequences=True, dtype="float64")
    layer.build(X.shape)
    layer.set_weights([weights[:FEATURES], weights[FEATURES:], biases])
    return layer


def keras_gru(parameters: Parameters) -> keras.layers.GRU:
    """Keras's order is z, r, candidate; `reset_after=False` resets before the product, as here."""
    gates = np.concatenate(gates_of(parameters["layers.0.gate_weights"], "zr", ours="rz"), axis=1)
    weights = np.concatenate([gates, parameters["layers.0.candidate_weights"]], axis=1)
    biases = np.concatenate(
        [*gates_of(parameters["layers.0.gate_biases"], "zr", ours="rz"), parameters["layers.0.candidate_biases"]]
    )
    cell = keras.layers.GRUCell(UNITS, reset_after=False, dtype="float64")
    layer = keras.layers.RNN(cell, return_sequences=True, dtype="float64")
    layer.build(X.shape)
    layer.set_weights([weights[:FEATURES], weights[FEATURES:], biases])
    return layer


def torch_gru(parameters: Parameters) -> torch.nn.GRU:
    """PyTorch's order is r, z, n."""
    weights = np.concatenate([parameters["layers.0.gate_weights"], parameters["layers.0.candidate_weights"]], axis=1)
    biases = np.concatenate([parameters["layers.0.gate_biases"], parameters["layers.0.candidate_biases"]])
    layer = torch.nn.GRU(FEATURES, UNITS, batch_first=True, dtype=torch.float64)
    layer.load_state_dict(
        {
            "weight_ih_l0": torch.tensor(weights[:FEATURES].T),
            "weight_hh_l0": torch.tensor(weights[FEATURES:].T),
            "bias_ih_l0": torch.tensor(biases),
            "bias_hh_l0": torch.zeros(3 * UNITS),
        }
    )
    return layer


def ours(framework: str, form: str, spec: CellSpec, parameters: Parameters) -> Array:
    module = build(framework, form, spec, dtype="float64")
    module.load_parameters(parameters)
    return forward(framework, form, module, X).h


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_lstm_is_the_frameworks_own(framework: str, form: str) -> None:
    spec = spec_of("lstm")
    parameters = parameters_for(spec)
    h = ours(framework, form, spec, parameters)
    with torch.no_grad():
        theirs = torch_lstm(parameters, forget_bias=spec.forget_bias)(torch.tensor(X))[0].numpy()
    np.testing.assert_allclose(h, theirs, rtol=0, atol=1e-12)
    theirs = keras_lstm(parameters, forget_bias=spec.forget_bias)(X).numpy()
    np.testing.assert_allclose(h, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gru_is_keras_gru_with_the_reset_before_the_product(framework: str, form: str) -> None:
    spec = spec_of("gru")
    parameters = parameters_for(spec)
    h = ours(framework, form, spec, parameters)
    np.testing.assert_allclose(h, keras_gru(parameters)(X).numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gru_is_torch_gru_only_where_nothing_is_reset(framework: str) -> None:
    """PyTorch resets after the product: `r · (W h)` where the authors compute `W (r · h)`."""
    spec = spec_of("gru")
    parameters = parameters_for(spec)
    with torch.no_grad():
        theirs = torch_gru(parameters)(torch.tensor(X))[0].numpy()
    assert np.abs(ours(framework, "layer", spec, parameters) - theirs).max() > 1e-3

    parameters["layers.0.gate_biases"][:UNITS] = 50.0  # r = 1
    with torch.no_grad():
        theirs = torch_gru(parameters)(torch.tensor(X))[0].numpy()
    np.testing.assert_allclose(ours(framework, "layer", spec, parameters), theirs, rtol=0, atol=1e-12)
