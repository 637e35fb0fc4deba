"""TensorFlow's layers as Keras layers: what they return, masks, configuration, saving, fitting, precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from impls.errors import CellError
from impls.kinds import LSTMState, SkipGRUState
from impls.states import Outputs
from impls.tensorflow import GRU, LSTM, SkipGRU, SkipLSTM

X = np.random.default_rng(7).normal(size=(4, 6, 3)).astype(np.float32)
LAYERS = (LSTM, GRU, SkipLSTM, SkipGRU)
# What is a layer's own, whatever runs below it: each layer on the engine that compiles nothing, one on the other.
EITHER_ENGINE = [
    *((layer, "reference") for layer in LAYERS),
    (GRU, "fast"),
    pytest.param(SkipLSTM, "fast", marks=pytest.mark.slow),
]


def assert_same_predictions(ours: keras.Model, theirs: keras.Model, x: Any = X) -> None:
    for one, other in zip(
        tf.nest.flatten(ours.predict(x, verbose=0)), tf.nest.flatten(theirs.predict(x, verbose=0)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("layer_class", "engine"), EITHER_ENGINE)
def test_layer_returns_outputs_and_state_or_what_keras_returns(layer_class: type, engine: str) -> None:
    options: dict[str, Any] = {"seed": 1, "engine": engine}
    layer = layer_class((2, 5), **options)
    outputs, state = layer(X)
    assert isinstance(outputs, Outputs)
    assert outputs.h.shape == (4, 6, 5)
    assert outputs.state_gate.shape == (4, 6, 1)
    leaves = tf.nest.flatten(state)
    np.testing.assert_array_equal(layer_class((2, 5), return_sequences=True, **options)(X), outputs.h)
    np.testing.assert_array_equal(layer_class((2, 5), return_sequences=False, **options)(X), outputs.h[:, -1])
    last, *given = layer_class((2, 5), return_state=True, **options)(X)
    np.testing.assert_array_equal(last, outputs.h[:, -1])
    every, *_ = layer_class((2, 5), return_sequences=True, return_state=True, **options)(X)
    np.testing.assert_array_equal(every, outputs.h)
    assert len(given) == len(leaves)
    for one, other in zip(given, leaves, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("return_state", [False, True])
@pytest.mark.parametrize("return_sequences", [None, True, False])
@pytest.mark.parametrize(("layer_class", "units"), [(SkipLSTM, (2, 5)), (SkipGRU, 5), (GRU, 5)])
def test_output_shapes_are_those_of_a_call(
    layer_class: type, units: Any, return_sequences: bool | None, return_state: bool
) -> None:
    layer = layer_class(
        units, engine="reference", return_sequences=return_sequences, return_state=return_state, input_size=3
    )
    assert layer.compute_output_shape(X.shape) == tf.nest.map_structure(lambda value: tuple(value.shape), layer(X))
    symbolic = tf.nest.map_structure(lambda value: value.shape, layer(keras.Input((None, 3))))
    assert layer.compute_output_shape((None, None, 3)) == symbolic
    with pytest.raises(CellError, match=r"inputs have shape \[4, 3\] where \[batch, time, features\]"):
        layer.compute_output_shape((4, 3))


@pytest.mark.parametrize("outer", [4, None])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_time_distributed_runs_a_layer_in_every_slice(return_sequences: bool, outer: int | None) -> None:
    slices = np.random.default_rng(8).normal(size=(2, 4, 6, 3)).astype(np.float32)
    layer = SkipGRU(5, return_sequences=return_sequences, engine="reference")
    inputs = keras.Input((outer, 6, 3))
    model = keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs))
    expected = layer(slices.reshape(8, 6, 3))
    assert model.output_shape == (None, outer, *expected.shape[1:])
    np.testing.assert_allclose(model(slices), tf.reshape(expected, [2, 4, *expected.shape[1:]]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("layer_class", "units", "engine"),
    [
        *((layer_class, units, "reference") for layer_class in LAYERS for units in (5, (2, 5))),
        pytest.param(GRU, 5, "fast", marks=pytest.mark.slow),
        pytest.param(SkipLSTM, (2, 5), "fast", marks=pytest.mark.slow),
    ],
)
def test_sequence_continues_from_a_given_state(layer_class: type, units: Any, engine: str) -> None:
    """As this layer returns it, as Keras returns it, under either name."""
    layer = layer_class(units, engine=engine)
    whole, _ = layer(X)
    _, state = layer(X[:, :3])
    flat = tf.nest.flatten(state)
    for outputs, _ in (layer(X[:, 3:], state), layer(X[:, 3:], flat), layer(X[:, 3:], initial_state=flat)):
        np.testing.assert_allclose(outputs.h, whole.h[:, 3:], rtol=0, atol=1e-6)
    with pytest.raises(CellError, match="give one of them"):
        layer(X, state, initial_state=state)


def test_states_have_the_authors_structures() -> None:
    _, state = LSTM(5, engine="reference")(X)
    assert isinstance(state, LSTMState)
    _, state = SkipGRU((2, 5), engine="reference")(X)
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
    _, *state = SkipLSTM(5, return_state=True, engine="reference")(source)
    decoded = SkipLSTM(5, return_sequences=True, engine="reference")(target, initial_state=state)
    model = keras.Model([source, target], decoded)
    model.save(tmp_path / "model.keras")
    assert_same_predictions(model, keras.saving.load_model(tmp_path / "model.keras"), [X, X[:, :, :2]])


def test_sequential_model_fits_saves_and_loads(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            SkipLSTM(2, return_sequences=True, engine="reference"),
            GRU(4, return_sequences=False),
            keras.layers.Dense(1),
        ]
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
            self.rnn = SkipGRU(4, seed=1, engine="reference")
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


LENGTHS = np.array([6, 0, 2, 5])
MASK = np.arange(6) < LENGTHS[:, None]
PADDED = np.where(MASK[:, :, None], X, 0).astype(np.float32)
# A mask is lengths before an engine is asked: one layer on the engine that compiles.
MASKED = [
    *((layer, "reference") for layer in LAYERS),
    (GRU, "fast"),
    *(pytest.param(layer, "fast", marks=pytest.mark.slow) for layer in LAYERS if layer is not GRU),
]


@pytest.mark.parametrize(("layer_class", "engine"), MASKED)
def test_mask_is_lengths_wherever_it_comes_from(layer_class: type, engine: str) -> None:
    layer = layer_class(5, seed=1, engine=engine)
    expected = tf.nest.flatten(layer(PADDED, lengths=LENGTHS))
    _, state = layer(X[:, :1])
    continued = tf.nest.flatten(layer(PADDED, state, lengths=LENGTHS))
    masked = keras.layers.Masking()(tf.constant(PADDED))
    for found, wanted in (
        (layer(PADDED, mask=MASK), expected),
        (layer(masked), expected),
        (layer(masked, state), continued),
        (layer(masked, initial_state=state), continued),
    ):
        for one, other in zip(tf.nest.flatten(found), wanted, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("layer_class", "engine"), MASKED)
def test_mask_runs_through_models_as_through_keras_layers(layer_class: type, engine: str, tmp_path: Path) -> None:
    """An embedding makes it, a layer hands it to the next, `Dense` and pooling read it; it survives a file."""

    def build(engine: str) -> keras.Model:
        tokens = keras.Input((None,), dtype="int32")
        below = keras.layers.Embedding(9, 3, mask_zero=True)(tokens)
        below = layer_class(4, seed=1, return_sequences=True, engine=engine)(below)
        last = layer_class(5, seed=2, return_sequences=False, engine=engine)(below)
        return keras.Model(tokens, [last, keras.layers.GlobalAveragePooling1D()(below)])

    model, single = build(engine), build("reference")  # alone by the reference: XLA would compile each length anew
    single.set_weights(model.get_weights())
    words = np.random.default_rng(1).integers(1, 9, (3, 6))
    lengths = [6, 2, 4]
    words[np.arange(6) >= np.array(lengths)[:, None]] = 0
    together = model.predict(words, verbose=0)
    for number, length in enumerate(lengths):
        alone = single.predict(words[number : number + 1, :length], verbose=0)
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one[number], other[0], rtol=0, atol=1e-6)
    model.save(tmp_path / "model.keras")
    assert_same_predictions(model, keras.saving.load_model(tmp_path / "model.keras"), words)


@pytest.mark.parametrize("engine", ["reference", pytest.param("fast", marks=pytest.mark.slow)])
def test_lengths_are_an_input_of_a_model(engine: str, tmp_path: Path) -> None:
    x, lengths = keras.Input((None, 3)), keras.Input((), dtype="int32")
    outputs, state = SkipLSTM(5, seed=1, engine=engine)(x, lengths=lengths)
    model = keras.Model([x, lengths], [outputs.h, outputs.state_gate, state.c])
    found = model([X, LENGTHS])
    for one, other in zip(found, model.layers[-1](X, lengths=LENGTHS)[0], strict=False):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    model.save(tmp_path / "model.keras")
    for one, other in zip(keras.saving.load_model(tmp_path / "model.keras")([X, LENGTHS]), found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_outputs_with_every_step_carry_the_mask_and_others_do_not() -> None:
    masked = keras.layers.Masking()(tf.constant(PADDED))
    options: dict[str, Any] = {"seed": 1, "engine": "reference"}
    outputs, state = SkipLSTM(5, **options)(masked)
    for value in outputs:
        np.testing.assert_array_equal(getattr(value, "_keras_mask", None), MASK)
    every, *given = SkipLSTM(5, return_sequences=True, return_state=True, **options)(masked)
    np.testing.assert_array_equal(getattr(every, "_keras_mask", None), MASK)
    last = SkipLSTM(5, return_sequences=False, **options)(masked)
    for value in (last, *state, *given):
        assert getattr(value, "_keras_mask", None) is None


def test_mask_that_is_not_at_the_end_is_refused() -> None:
    layer = SkipGRU(5, engine="reference")
    left = MASK[:, ::-1]
    with pytest.raises(CellError, match="mask has a masked step before one that is not: pad sequences at the end"):
        layer(X, mask=left)
    with pytest.raises(CellError, match=r"mask has shape \[4, 5\] where \[4, 6\] is needed"):
        layer(X, mask=MASK[:, :5])
    traced = tf.function(lambda x, mask: layer(x, mask=mask)[0].h)
    np.testing.assert_allclose(traced(X, MASK), layer(X, mask=MASK)[0].h, rtol=0, atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="mask has a masked step before one that is not"):
        traced(X, left)


@pytest.mark.parametrize(("dtype", "of_outputs"), [("float64", "float64"), ("mixed_bfloat16", "bfloat16")])
def test_precision_is_the_layers_own(dtype: str, of_outputs: str) -> None:
    layer = SkipLSTM(5, dtype=dtype)
    outputs, state = layer(X)
    *leaves, update_prob, cum_update_prob = tf.nest.flatten((outputs, state))
    assert {leaf.dtype.name for leaf in leaves} == {of_outputs}
    assert update_prob.dtype == cum_update_prob.dtype == ("float64" if dtype == "float64" else "float32")
    assert {value.dtype for value in layer.parameters_by_name().values()} == {
        dtype.replace("mixed_bfloat16", "float32")
    }
    symbolic = tf.nest.flatten(SkipLSTM(5, dtype=dtype, engine="reference")(keras.Input((6, 3))))
    assert [value.dtype for value in symbolic] == [value.dtype.name for value in tf.nest.flatten((outputs, state))]


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


def test_subclass_adds_state_after_a_constructor_that_knows_its_inputs() -> None:
    """Keras locks a layer's state when it is built; parameters are there before."""

    class Read(SkipGRU):
        def __init__(self) -> None:
            super().__init__(5, input_size=3, return_sequences=False, engine="reference")
            assert len(self.export_parameters()) == len(self.weights) > 0
            self.readout = keras.layers.Dense(1)

        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return self.readout(super().call(inputs))

    layer = Read()
    own = layer.weights
    assert layer(X).shape == (4, 1)
    assert layer.weights == [*own, *layer.readout.weights]


def test_unknown_argument_is_refused() -> None:
    with pytest.raises(ValueError, match="update_bais"):
        SkipLSTM(5, update_bais=1.0)


def test_layer_runs_compiled() -> None:
    options: dict[str, Any] = {"input_size": 3, "layer_norm": True, "seed": 1}
    layer, expected = (SkipLSTM(4, engine=engine, **options) for engine in ("fast", "reference"))
    compiled = tf.function(layer, jit_compile=True)
    np.testing.assert_allclose(compiled(X)[0].h, expected(X)[0].h, rtol=0, atol=1e-6)


@pytest.mark.parametrize("engine", ["reference", pytest.param("fast", marks=pytest.mark.slow)])
def test_gate_of_a_low_layer_is_decided_in_float32(engine: str) -> None:
    """Keras converts arguments to the layer's type: the state's scalars and noise keep theirs."""
    layer = SkipLSTM((4, 5), input_size=3, seed=1, dtype="mixed_bfloat16", engine=engine)
    _, state = layer(X[:, :1])
    third = tf.fill([4, 1], tf.constant(1 / 3, tf.float32))  # no bfloat16
    given = (state[0], state[1]._replace(update_prob=third, cum_update_prob=third))
    outputs, _ = layer(X[:, :1], given)
    again, _ = layer(X[:, :1], initial_state=tf.nest.flatten(given))
    np.testing.assert_array_equal(outputs.h, again.h)
    sixth = (state[0], state[1]._replace(update_prob=third / 2, cum_update_prob=third / 2))
    _, last = layer(X[:, :1], sixth)
    np.testing.assert_array_equal(last[1].update_prob, third / 2)
    np.testing.assert_array_equal(last[1].cum_update_prob, third)
