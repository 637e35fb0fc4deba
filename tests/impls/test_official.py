"""The authors' variable names to canonical ones and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impls.contract import FRAMEWORKS, CellSpec
from impls.errors import ParameterError
from impls.kinds import cells
from impls.parameters import cell_shapes, check_parameters, from_official, initial_parameters, to_official
from tests.impls import recorded_runs
from tests.impls.frameworks import FORMS, build


@pytest.mark.parametrize("name", recorded_runs.NAMES)
def test_recorded_variables_come_back_unchanged(name: str) -> None:
    recorded = recorded_runs.load(name)
    check_parameters(recorded.parameters, cell_shapes(recorded.spec), where=name)
    back = to_official(recorded.parameters)
    assert set(back) == set(recorded.variables)
    for variable, value in recorded.variables.items():
        np.testing.assert_array_equal(back[variable], value)


def test_names_of_a_whole_checkpoint_are_understood() -> None:
    """Suffixes, outer scopes, the readout; constants, Adam's slots and counters are left out."""
    recorded = recorded_runs.load("skip_gru_16x24_layernorm_bias-1")
    checkpoint = {f"model/{name}:0": value for name, value in recorded.variables.items()}
    checkpoint |= {f"{name}/Adam": np.zeros_like(value) for name, value in recorded.variables.items()}
    checkpoint |= {f"{name}/Adam_1:0": np.zeros_like(value) for name, value in recorded.variables.items()}
    checkpoint |= {
        "layer_2/initial_update_prob/initial_state": np.ones((1, 1), np.float32),
        "layer_2/initial_cum_update_prob/initial_state": np.zeros((1, 1), np.float32),
        "beta1_power": np.float32(0.9),
        "beta2_power:0": np.float32(0.999),
        "global_step": np.int64(3),
        "fully_connected/weights": np.ones((24, 2), np.float32),
        "fully_connected/biases": np.zeros(2, np.float32),
    }
    translated = from_official(checkpoint)
    assert set(translated) == {*recorded.parameters, "readout.weights", "readout.biases"}
    for name, value in recorded.parameters.items():
        np.testing.assert_array_equal(translated[name], value)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("cell", cells())
def test_every_cell_round_trips(cell: str, layer_norm: bool, stacked: bool) -> None:
    units = (4, 5) if stacked else (4,)
    spec = CellSpec(cell=cell, input_size=3, units=units, layer_norm=layer_norm)
    parameters = initial_parameters(spec, seed=1)
    back = from_official(to_official(parameters))
    assert set(back) == set(parameters)
    for name, value in parameters.items():
        np.testing.assert_array_equal(back[name], value)


@pytest.mark.parametrize("scope", ["layer_2", "layer_2/rnn", "encoder/layer_3/rnn", "cell_1", "cell_1/layer_2"])
@pytest.mark.parametrize("units", [(4,), (4, 5)])
@pytest.mark.parametrize("cell", cells())
def test_a_numbered_outer_scope_is_no_layer(cell: str, units: tuple[int, ...], scope: str) -> None:
    parameters = initial_parameters(CellSpec(cell=cell, input_size=3, units=units, layer_norm=True), seed=1)
    back = from_official(to_official(parameters, scope=scope))
    assert set(back) == set(parameters)
    for name, value in parameters.items():
        np.testing.assert_array_equal(back[name], value)


def test_stack_of_one_layer_can_bear_the_stacks_names() -> None:
    parameters = initial_parameters(CellSpec(cell="skip_lstm", input_size=3, units=(4,)), seed=1)
    names = to_official(parameters, scope="outer/rnn", stacked=True)
    assert "outer/rnn/MultiSkipLSTMCell/layer_1/Weights" in names
    assert set(from_official(names)) == set(parameters)


def test_plain_cells_bear_the_names_of_the_basic_cells() -> None:
    spec = CellSpec(cell="gru", input_size=3, units=(4,), layer_norm=True)
    assert set(to_official(initial_parameters(spec, seed=1))) == {
        "initial_h/initial_state",
        *(f"rnn/BasicGRUCell/gates/{name}" for name in ("Weights", "Biases", "r/gain", "r/bias", "u/gain", "u/bias")),
        "rnn/BasicGRUCell/candidate/Weights",
        "rnn/BasicGRUCell/candidate/Biases",
    }
    spec = CellSpec(cell="lstm", input_size=3, units=(4, 5))
    assert set(to_official(initial_parameters(spec, seed=1))) == {
        *(f"layer_{layer}/initial_{name}/initial_state" for layer in (1, 2) for name in "ch"),
        *(
            f"rnn/multi_rnn_cell/cell_{layer}/BasicLSTMCell/{name}"
            for layer in (0, 1)
            for name in ("Weights", "Biases")
        ),
    }


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("rnn/SkipLSTMCell/Wieghts", "not a variable of the authors' released cells"),
        ("decoder/projection/Weights", "not a variable of the authors' released cells"),
        ("layers.0.weights", "not a variable of the authors' released cells"),
        ("other/SkipLSTMCell/Weights", "both stand for 'layers.0.weights'"),
    ],
)
def test_variable_that_does_not_belong_is_refused(variable: str, message: str) -> None:
    variables = {"rnn/SkipLSTMCell/Weights": np.zeros((3, 8)), variable: np.zeros((3, 8))}
    with pytest.raises(ParameterError, match=message):
        from_official(variables)


def test_missing_norm_gain_is_named() -> None:
    variables = dict(recorded_runs.load("skip_lstm_24_layernorm_bias-1").variables)
    del variables["rnn/SkipLSTMCell/f/gain"]
    with pytest.raises(ParameterError, match=r"no layer-norm gain for the gates \['f'\]"):
        from_official(variables)


def test_embedding_has_no_official_name() -> None:
    with pytest.raises(ParameterError, match=r"'embedding\.weights' has no counterpart"):
        to_official({"embedding.weights": np.zeros((2, 2))})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_checkpoint_loads_in_one_line(framework: str, form: str) -> None:
    recorded = recorded_runs.load("skip_lstm_16x24_layernorm_bias-1")
    module = build(framework, form, replace(recorded.spec, update_bias=1.0))
    module.load_parameters(from_official(recorded.variables))
    for name, value in to_official(module.export_parameters()).items():
        np.testing.assert_array_equal(value, recorded.variables[name])
