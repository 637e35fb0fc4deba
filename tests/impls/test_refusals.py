"""A caller's mistakes: refused by both frameworks, cell and layer, in the same words."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls.checks import dtype_name
from impls.contract import ENGINES, FRAMEWORKS
from impls.errors import CellError
from tests.impls.frameworks import FORMS, array, tensor


def cell_class(framework: str, name: str) -> Any:
    return getattr(importlib.import_module(f"impls.{framework}"), name)


def refusal(action: Callable[[], Any]) -> str:
    """The message of the `CellError` that the action raises, without what Keras wraps around it."""
    with pytest.raises(CellError) as caught:
        action()
    message = re.sub(r"\x1b\[\d*m", "", str(caught.value))
    wrapped = re.fullmatch(r"Exception encountered when calling .*?\n\n(.*)\n\nArguments received.*", message, re.S)
    return wrapped[1] if wrapped else message


CONSTRUCTIONS = {
    "zero units": ({"units": 0}, "units must be a whole number of at least 1, got 0"),
    "negative units": ({"units": -3}, "units must be a whole number of at least 1, got -3"),
    "fractional units": ({"units": 2.5}, "units must be a whole number of at least 1, got 2.5"),
    "units of true": ({"units": True}, "units must be a whole number of at least 1, got True"),
    "no layers": ({"units": ()}, "units is empty: give at least one layer"),
    "zero units in a stack": ({"units": (4, 0)}, "units must be a whole number of at least 1, got 0"),
    "no features": ({"input_size": 0}, "input_size must be a whole number of at least 1, got 0"),
    "activation": (
        {"activation": "tahn"},
        "activation='tahn' is not one of tanh, relu, sigmoid, identity; did you mean 'tanh'?",
    ),
    "initial state": (
        {"initial_state": "zero"},
        "initial_state='zero' is not one of learned, zeros; did you mean 'zeros'?",
    ),
    "gate": ({"gate": "rounded"}, "gate='rounded' is not one of round, bernoulli; did you mean 'round'?"),
    "gate layer": (
        {"units": (4, 5), "gate_layer": 2},
        "gate_layer=2: the stack has layers 0 to 1 (or -1, the top)",
    ),
    "forget bias": ({"forget_bias": "1"}, "forget_bias must be a number, got '1'"),
    "update bias": ({"update_bias": float("nan")}, "update_bias must be a number, got nan"),
    "forget bias beyond floats": (
        {"forget_bias": 10**400},
        "forget_bias is a whole number too large for floating point",
    ),
    "update bias beyond floats": (
        {"update_bias": -(10**5000)},
        "update_bias is a whole number too large for floating point",
    ),
    "layer norm": ({"layer_norm": "False"}, "layer_norm must be True or False, got 'False'"),
    "layer norm of a number": ({"layer_norm": 1}, "layer_norm must be True or False, got 1"),
    "layer norm of nothing": ({"layer_norm": None}, "layer_norm must be True or False, got None"),
    "seed": ({"seed": -1}, "seed must be a whole number from 0 to 2**64 - 1, or None, got -1"),
    "seed too large": ({"seed": 2**64}, f"seed must be a whole number from 0 to 2**64 - 1, or None, got {2**64}"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("mistake", CONSTRUCTIONS)
def test_constructor_refuses(mistake: str, framework: str, form: str) -> None:
    options, message = CONSTRUCTIONS[mistake]
    arguments = {"units": 4, "input_size": 3, **options}
    several = isinstance(arguments["units"], tuple)
    name = "SkipLSTM" if form == "layer" else "MultiSkipLSTMCell" if several else "SkipLSTMCell"
    assert refusal(lambda: cell_class(framework, name)(**arguments)) == message


FLAGS = {
    "pytorch": ("batch_first", "every_step"),
    "tensorflow": ("return_sequences", "return_state", "trainable", "autocast"),
}


@pytest.mark.parametrize(("framework", "name"), [(framework, name) for framework in FLAGS for name in FLAGS[framework]])
def test_a_flag_is_a_truth_and_no_text(framework: str, name: str) -> None:
    layer = cell_class(framework, "SkipGRU")
    for value in ("False", "no", 0):
        message = refusal(lambda value=value: layer(4, input_size=3, **{name: value}))
        assert message == f"{name} must be True or False, got {value!r}"
    assert getattr(layer(4, input_size=3, **{name: np.bool_(False)}), name) is False


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_single_cell_has_one_layer_and_a_stack_may(framework: str) -> None:
    """A bare number makes a stack of one layer, as in the released code."""
    single, stack = cell_class(framework, "SkipGRUCell"), cell_class(framework, "MultiSkipGRUCell")
    assert (
        refusal(lambda: single((4, 5), input_size=3))
        == "units=(4, 5): a single cell has one layer; use the Multi… cell for a stack"
    )
    assert stack(4, input_size=3).state_size == stack([4], input_size=3).state_size


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_functions_of_the_framework_are_known_by_name_and_a_callers_own_is_not(framework: str) -> None:
    def tanh(x: Any) -> Any:
        return 2 * x

    if framework == "pytorch":
        import torch

        known = [torch.tanh, torch.relu, torch.nn.functional.relu]
    else:
        import keras
        import tensorflow as tf

        known = [tf.tanh, tf.nn.relu, keras.activations.sigmoid]
    for function in known:
        assert cell_class(framework, "GRUCell")(4, input_size=3, activation=function).spec.activation in str(function)
    message = refusal(lambda: cell_class(framework, "GRUCell")(4, input_size=3, activation=tanh))
    assert "is not one of tanh, relu, sigmoid, identity" in message


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_unknown_engine_is_refused(framework: str) -> None:
    message = refusal(lambda: cell_class(framework, "SkipGRU")(4, input_size=3, engine="referense"))
    assert re.match("engine='referense' is not one of .*; did you mean 'reference'", message)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_parameters_have_a_type_that_is_computed_in(framework: str) -> None:
    for dtype in ("int32", "float23", "float8_e4m3fn", None):
        message = refusal(lambda dtype=dtype: cell_class(framework, "SkipGRUCell")(4, input_size=3, dtype=dtype))
        assert message == f"dtype={dtype!r} is not one of float16, bfloat16, float32, float64"
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        parameters = cell_class(framework, "SkipGRUCell")(4, input_size=3, dtype=dtype).parameters_by_name()
        assert {dtype_name(value.dtype) for value in parameters.values()} == {dtype}


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


STATE = "(c, h, update_prob, cum_update_prob)"
# Of a layer: input, state and draws, all arrays, of SkipLSTM(4, input_size=3).
LAYER_CALLS = {
    "rank": ({"inputs": zeros(2, 3)}, "inputs have shape [2, 3] where [batch, time, 3] is needed"),
    "rank 4": ({"inputs": zeros(2, 5, 3, 1)}, "inputs have shape [2, 5, 3, 1] where [batch, time, 3] is needed"),
    "features": ({"inputs": zeros(2, 5, 4)}, "inputs have 4 features where the cell was built for 3"),
    "no time": ({"inputs": zeros(2, 0, 3)}, "inputs have no time steps (T = 0)"),
    "integers": ({"inputs": zeros(2, 5, 3, dtype="int64")}, "inputs must be floating point, got int64"),
    "truths": ({"inputs": zeros(2, 5, 3, dtype="bool")}, "inputs must be floating point, got bool"),
    "updates": (
        {"updates": zeros(2, 5)},
        "updates is the random skip's gate, for plain cells; a skip cell decides for itself",
    ),
    "noise": ({"gate_noise": zeros(2, 5)}, "gate_noise is read only by a skip cell with gate='bernoulli'"),
    "state of a GRU": (
        {"state": (zeros(2, 4), zeros(2, 1), zeros(2, 1))},
        f"state: expected {STATE}, got (a tensor [2, 4], a tensor [2, 1], a tensor [2, 1])",
    ),
    "state of a stack": (
        {"state": ((zeros(2, 4), zeros(2, 4), zeros(2, 1), zeros(2, 1)),)},
        f"state: expected {STATE}, got ((a tensor [2, 4], a tensor [2, 4], a tensor [2, 1], a tensor [2, 1]))",
    ),
    "bare state": ({"state": zeros(2, 4)}, f"state: expected {STATE}, got a tensor [2, 4]"),
    "state of other units": (
        {"state": (zeros(2, 4), zeros(2, 5), zeros(2, 1), zeros(2, 1))},
        "state: h of layer 0 has shape [2, 5] where [batch, 4] is needed",
    ),
    "state of another batch": (
        {"state": (zeros(3, 4), zeros(3, 4), zeros(3, 1), zeros(3, 1))},
        "state: c of layer 0 is for a batch of 3, the inputs are a batch of 2",
    ),
}
CELL_CALLS = {
    **{name: LAYER_CALLS[name] for name in LAYER_CALLS if name.startswith(("bare", "state"))},
    "rank": ({"inputs": zeros(2, 5, 3)}, "inputs have shape [2, 5, 3] where [batch, 3] is needed"),
    "features": ({"inputs": zeros(2, 4)}, "inputs have 4 features where the cell was built for 3"),
    "integers": ({"inputs": zeros(2, 3, dtype="int32")}, "inputs must be floating point, got int32"),
    "type": (
        {"inputs": zeros(2, 3, dtype="float64")},
        "inputs are float64 where the parameters are float32: convert one of them",
    ),
    "type of the state": (
        {"state": (zeros(2, 4), zeros(2, 4, dtype="float64"), zeros(2, 1), zeros(2, 1))},
        "state: h of layer 0 is float64 where float32 is needed",
    ),
}
CALLS = {("layer", name): call for name, call in LAYER_CALLS.items()}
CALLS |= {("cell", name): call for name, call in CELL_CALLS.items()}


def tensors(framework: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(tensors(framework, part) for part in value)
    return tensor(framework, value)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("form", "mistake"), CALLS)
def test_call_refuses(form: str, mistake: str, framework: str) -> None:
    arguments, message = CALLS[form, mistake]
    module = cell_class(framework, "SkipLSTM" if form == "layer" else "SkipLSTMCell")(4, input_size=3)
    good = {"inputs": zeros(2, 5, 3) if form == "layer" else zeros(2, 3)}
    given = {name: tensors(framework, value) for name, value in {**good, **arguments}.items()}
    assert refusal(lambda: module(**given)) == message


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_layer_wants_draws_of_its_inputs_shape(framework: str) -> None:
    x = tensor(framework, zeros(2, 5, 3))
    plain = cell_class(framework, "GRU")(4, input_size=3)
    drawn = cell_class(framework, "SkipGRU")(4, input_size=3, gate="bernoulli")
    wrong = tensor(framework, zeros(2, 4))
    assert refusal(lambda: plain(x, updates=wrong)) == "updates has shape [2, 4] where [2, 5] is needed"
    assert refusal(lambda: drawn(x, gate_noise=wrong)) == "gate_noise has shape [2, 4] where [2, 5] is needed"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_stack_describes_its_state(framework: str) -> None:
    cell = cell_class(framework, "MultiSkipGRUCell")((4, 5), input_size=3)
    message = refusal(lambda: cell(tensor(framework, zeros(2, 3)), tensor(framework, zeros(2, 4))))
    assert message == "state: expected (h, (h, update_prob, cum_update_prob)), got a tensor [2, 4]"


def test_pytorch_takes_tensors_alone() -> None:
    cell = cell_class("pytorch", "SkipGRUCell")(4, input_size=3)
    assert refusal(lambda: cell(zeros(2, 3))) == "inputs must be a torch.Tensor, got ndarray"


def test_keras_layer_casts_its_inputs_as_keras_layers_do() -> None:
    outputs, _ = cell_class("tensorflow", "SkipGRU")(4)(zeros(2, 5, 3, dtype="float64"))
    assert outputs.h.dtype.name == "float32"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("cell", ["LSTM", "SkipGRU"])
def test_nan_passes_through(cell: str, framework: str, form: str) -> None:
    """It is the trial that reports divergence; a cell neither hides it nor stops."""
    module = cell_class(framework, cell if form == "layer" else f"{cell}Cell")(4, input_size=3)
    x = zeros(2, 3, 3) if form == "layer" else zeros(2, 3)
    x[0] = np.nan
    h = array(module(tensor(framework, x))[0].h)
    assert np.isnan(h[0]).all()
    assert np.isfinite(h[1]).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gate", ["round", "bernoulli"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("cell", ["SkipLSTM", "SkipGRU"])
def test_nan_of_the_update_probability_spreads(cell: str, framework: str, gate: str, engine: str) -> None:
    """It neither updates always nor never, so that a trial that diverges there ends as diverged."""
    layer = cell_class(framework, cell)(4, input_size=3, gate=gate, engine=engine)
    x = tensor(framework, np.random.default_rng(1).normal(size=(2, 3, 3)).astype(np.float32))
    _, state = layer(x)
    wrong = state._replace(update_prob=tensor(framework, np.array([[np.nan], [0.5]], np.float32)))
    outputs, last = layer(x, wrong)
    for value in (outputs.h, outputs.state_gate, *(leaf[:, None] for leaf in last)):
        assert np.isnan(array(value)[0]).all()
        assert np.isfinite(array(value)[1]).all()
