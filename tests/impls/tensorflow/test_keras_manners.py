"""TensorFlow's layers as Keras layers: what they return, masks, configuration, saving, fitting, precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from impls.contract import Array
from impls.errors import CellError
from impls.kinds import LSTMState, SkipGRUState
from impls.states import Outputs
from impls.tensorflow import GRU, LSTM, SkipGRU, SkipGRUCell, SkipLSTM

X = np.random.default_rng(7).normal(size=(4, 6, 3)).astype(np.float32)
LAYERS = (LSTM, GRU, SkipLSTM, SkipGRU)


def assert_same_predictions(ours: keras.Model, theirs: keras.Model, x: Any = X) -> None:
    for one, other in zip(
        tf.nest.flatten(ours.predict(x, verbose=0)), tf.nest.flatten(theirs.predict(x, verbose=0)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_layer_returns_outputs_and_state_or_what_keras_returns(layer_class: type) -> None:
    layer = layer_class((2, 5), seed=1)
    outputs, state = layer(X)
    assert isinstance(outputs, Outputs)
    assert outputs.h.shape == (4, 6, 5)
    assert outputs.state_gate.shape == (4, 6, 1)
    leaves = tf.nest.flatten(state)
    np.testing.assert_array_equal(layer_class((2, 5), seed=1, return_sequences=True)(X), outputs.h)
    np.testing.assert_array_equal(layer_class((2, 5), seed=1, return_sequences=False)(X), outputs.h[:, -1])
    last, *given = layer_class((2, 5), seed=1, return_state=True)(X)
    np.testing.assert_array_equal(last, outputs.h[:, -1])
    every, *_ = layer_class((2, 5), seed=1, return_sequences=True, return_state=True)(X)
    np.testing.assert_array_equal(every, outputs.h)
    assert len(given) == len(leaves)
    for one, other in zip(given, leaves, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("units", [5, (2, 5)])
@pytest.mark.parametrize("layer_class", LAYERS)
def test_sequence_continues_from_a_given_state(layer_class: type, units: Any) -> None:
    """As this layer returns it, as Keras returns it, under either name."""
    layer = layer_class(units)
    whole, _ = layer(X)
    _, state = layer(X[:, :2])
    flat = tf.nest.flatten(state)
    for outputs, _ in (layer(X[:, 2:], state), layer(X[:, 2:], flat), layer(X[:, 2:], initial_state=flat)):
        np.testing.assert_allclose(outputs.h, whole.h[:, 2:], rtol=0, atol=1e-6)
    with pytest.raises(CellError, match="give one of them"):
        layer(X, state, initial_state=state)


def test_states_have_the_authors_structures() -> None:
    _, state = LSTM(5)(X)
    assert isinstance(state, LSTMState)
    _, state = SkipGRU((2, 5))(X)
    assert isinstance(state, tuple)
    assert isinstance(state[1], SkipGRUState)


def test_functional_model_saves_and_loads(tmp_path: Path) -> None:
    inputs = keras.Input((None, 3))
    outputs, state = SkipLSTM((4, 5), layer_norm=True, update_bias=-1.0)(inputs)
    assert outputs.h.shape == (None, None, 5)
    model = keras.Model(inputs, {"y": keras.layers.Dense(1)(outputs.h), "gate": outputs.state_gate, "c": state[0].c})
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same_predictions(model, loaded)
    assert loaded.layers[1].spec == model.layers[1].spec
    for name, value in model.layers[1].export_parameters().items():
        np.testing.assert_array_equal(loaded.layers[1].export_parameters()[name], value)


def test_encoder_hands_its_state_to_a_decoder(tmp_path: Path) -> None:
    source, target = keras.Input((None, 3)), keras.Input((None, 2))
    _, *state = SkipLSTM(5, return_state=True)(source)
    decoded = SkipLSTM(5, return_sequences=True)(target, initial_state=state)
    model = keras.Model([source, target], decoded)
    model.save(tmp_path / "model.keras")
    assert_same_predictions(model, keras.saving.load_model(tmp_path / "model.keras"), [X, X[:, :, :2]])


def test_sequential_model_fits_saves_and_loads(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [GRU(2, return_sequences=True), SkipLSTM(4, return_sequences=False), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.02), "mean_squared_error", jit_compile=False)
    history = model.fit(X, X[:, 0, :1], epochs=15, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]
    model.save(tmp_path / "model.keras")
    assert_same_predictions(model, keras.saving.load_model(tmp_path / "model.keras"))
    model.save_weights(tmp_path / "model.weights.h5")
    other = keras.models.clone_model(model)
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same_predictions(model, other)


def test_budget_loss_joins_in_a_subclassed_model() -> None:
    class Model(keras.Model):
        def __init__(self, cost_per_sample: float) -> None:
            super().__init__()
            self.rnn = SkipGRU(4, seed=1)
            self.cost_per_sample = cost_per_sample

        def call(self, x: tf.Tensor) -> tf.Tensor:
            outputs, _ = self.rnn(x)
            self.add_loss(self.cost_per_sample * tf.reduce_mean(tf.reduce_sum(outputs.state_gate, 1)))
            return outputs.h[:, -1]

    losses = {}
    for cost in (0.0, 0.5):
        model = Model(cost)
        model.compile("adam", "mean_squared_error", run_eagerly=True)
        losses[cost] = model.evaluate(X, np.zeros((4, 4), np.float32), verbose=0)
        updates = float(tf.reduce_mean(tf.reduce_sum(model.rnn(X)[0].state_gate, 1)))
    assert losses[0.5] - losses[0.0] == pytest.approx(0.5 * updates, rel=1e-6)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_configuration_builds_the_same_layer(layer_class: type) -> None:
    options: dict[str, Any] = {"layer_norm": True, "initial_state": "zeros", "activation": "relu"}
    if layer_class in (SkipLSTM, SkipGRU):
        options |= {"update_bias": -1.5, "gate": "bernoulli", "gate_layer": 0}
    if layer_class in (LSTM, SkipLSTM):
        options |= {"forget_bias": 0.5}
    layer = layer_class(
        (4, 5),
        input_size=3,
        return_sequences=True,
        seed=3,
        dtype="float64",
        name="layer",
        trainable=False,
        **options,
    )
    twin = layer_class.from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    assert (twin.spec, twin.stacked, twin.name, twin.trainable) == (layer.spec, True, "layer", False)
    for name, value in layer.export_parameters().items():
        np.testing.assert_array_equal(twin.export_parameters()[name], value)


def test_one_layer_of_a_tuple_stays_a_stack_in_its_configuration() -> None:
    assert SkipGRU.from_config(SkipGRU((4,)).get_config()).stacked
    assert not SkipGRU.from_config(SkipGRU(4).get_config()).stacked


def masked(x: Array) -> Any:
    return keras.layers.Masking()(tf.constant(x))


@pytest.mark.parametrize("layer_class", LAYERS)
def test_mask_is_refused_wherever_it_comes_from(layer_class: type) -> None:
    layer = layer_class(5)
    _, state = layer(X)
    tokens = keras.Input((None,), dtype="int32")
    for call in (
        lambda: layer(X, mask=np.ones((4, 6), bool)),
        lambda: layer(masked(X)),
        lambda: layer(masked(X), state),
        lambda: layer(keras.layers.Embedding(9, 3, mask_zero=True)(tokens)),
        lambda: keras.Sequential([keras.layers.Masking(), layer])(X),
    ):
        with pytest.raises(CellError, match="does not take a mask: pad at the end, and read h where a sequence ends"):
            call()


@pytest.mark.parametrize(("dtype", "of_outputs"), [("float64", "float64"), ("mixed_bfloat16", "bfloat16")])
def test_precision_is_the_layers_own(dtype: str, of_outputs: str) -> None:
    layer = SkipLSTM((4, 5), layer_norm=True, dtype=dtype)
    outputs, state = layer(X)
    *leaves, update_prob, cum_update_prob = tf.nest.flatten((outputs, state))
    assert {leaf.dtype.name for leaf in leaves} == {of_outputs}
    assert update_prob.dtype == cum_update_prob.dtype == ("float64" if dtype == "float64" else "float32")
    assert {value.dtype for value in layer.parameters_by_name().values()} == {
        dtype.replace("mixed_bfloat16", "float32")
    }


def test_inputs_are_built_for_once() -> None:
    layer = SkipGRU(5)
    assert layer.get_config()["input_size"] is None
    layer(X)
    with pytest.raises(CellError, match="inputs have 2 features where the cell was built for 3"):
        layer(X[:, :, :2])
    with pytest.raises(CellError, match=r"inputs have shape \[None, None, None\] where \[batch, time, features\]"):
        SkipGRU(5)(keras.Input((None, None)))


def test_keras_seed_rules_layers_without_a_seed() -> None:
    drawn = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        drawn.append(SkipGRU(5, input_size=3).export_parameters()["layers.0.gate_weights"])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_unknown_argument_is_refused() -> None:
    with pytest.raises(ValueError, match="update_bais"):
        SkipLSTM(5, update_bais=1.0)


def test_layer_runs_compiled() -> None:
    layer = SkipLSTM(4, input_size=3, layer_norm=True)
    compiled = tf.function(layer, jit_compile=True)
    np.testing.assert_allclose(compiled(X)[0].h, layer(X)[0].h, rtol=0, atol=1e-6)


def test_cell_keeps_its_parameters_in_a_checkpoint(tmp_path: Path) -> None:
    cell, other = SkipGRUCell(5, input_size=3), SkipGRUCell(5, input_size=3)
    path = tf.train.Checkpoint(cell=cell).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(cell=other).read(path).assert_consumed()
    for name, value in cell.export_parameters().items():
        np.testing.assert_array_equal(other.export_parameters()[name], value)
