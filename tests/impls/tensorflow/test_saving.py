"""Every way to save that TensorFlow and Keras have, of every public class: by outputs of a fresh object."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import impls.tensorflow as twin

X = np.random.default_rng(7).normal(size=(4, 6, 3)).astype(np.float32)
LAYERS = ("LSTM", "GRU", "SkipLSTM", "SkipGRU")
CELLS = tuple(name for name in twin.__all__ if name.endswith("Cell"))


def build(name: str, *, seed: int, **options: Any) -> Any:
    """Layers run the engine that compiles nothing unless told otherwise: what is saved is their own."""
    units = (2, 5) if name.startswith("Multi") else 5
    if name in LAYERS:
        options = {"engine": "reference"} | options
    return getattr(twin, name)(units, seed=seed, layer_norm=True, **options)


def outputs(module: Any) -> list[Any]:
    return tf.nest.flatten(module(X if isinstance(module, keras.layers.Layer) else X[:, 0]))


def model_of(name: str, *, seed: int, **options: Any) -> keras.Model:
    inputs = keras.Input((None, 3))
    result, state = build(name, seed=seed, **options)(inputs)
    return keras.Model(inputs, [result.h, result.state_gate, *tf.nest.flatten(state)])


def assert_restores(saved: Any, fresh: Any, restore: Callable[[], None]) -> None:
    before = outputs(saved)
    assert any((one.numpy() != other.numpy()).any() for one, other in zip(before, outputs(fresh), strict=True))
    restore()
    for one, other in zip(before, outputs(fresh), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_checkpoint_restores_a_layer_or_cell(name: str, tmp_path: Path) -> None:
    saved, fresh = (build(name, seed=seed, input_size=3) for seed in (1, 2))
    path = tf.train.Checkpoint(module=saved).save(str(tmp_path / "checkpoint"))

    def restore() -> None:
        status = tf.train.Checkpoint(module=fresh).restore(path)
        status.assert_existing_objects_matched()
        status.assert_consumed()

    assert_restores(saved, fresh, restore)


@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_checkpoint_waits_for_a_module_without_its_size(name: str, tmp_path: Path) -> None:
    saved, fresh = build(name, seed=1, input_size=3), build(name, seed=2)
    status = tf.train.Checkpoint(module=fresh).restore(
        tf.train.Checkpoint(module=saved).save(str(tmp_path / "checkpoint"))
    )
    for one, other in zip(outputs(saved), outputs(fresh), strict=True):
        np.testing.assert_array_equal(one, other)
    status.assert_consumed()


@pytest.mark.parametrize("way", ["checkpoint", "keras", "weights", "numpy"])
@pytest.mark.parametrize("name", LAYERS)
def test_functional_model_is_restored(name: str, way: str, tmp_path: Path) -> None:
    saved, fresh = model_of(name, seed=1), model_of(name, seed=2)

    def restore() -> None:
        if way == "checkpoint":
            path = tf.train.Checkpoint(model=saved).save(str(tmp_path / "checkpoint"))
            tf.train.Checkpoint(model=fresh).restore(path).assert_consumed()
        elif way == "keras":
            saved.save(tmp_path / "model.keras")
            fresh.set_weights(keras.saving.load_model(tmp_path / "model.keras").get_weights())
        elif way == "weights":
            saved.save_weights(tmp_path / "model.weights.h5")
            fresh.load_weights(tmp_path / "model.weights.h5")
        else:
            fresh.set_weights(saved.get_weights())

    assert_restores(saved, fresh, restore)


@pytest.mark.parametrize("name", LAYERS)
def test_loaded_keras_file_is_the_model(name: str, tmp_path: Path) -> None:
    saved = model_of(name, seed=1)
    saved.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(outputs(saved), outputs(loaded), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_hands_its_weights_to_another(name: str) -> None:
    saved, fresh = (build(name, seed=seed, input_size=3) for seed in (1, 2))
    assert_restores(saved, fresh, lambda: fresh.set_weights(saved.get_weights()))


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("GRU", "saved_model"),
        ("SkipLSTM", "export"),
        *(pytest.param(*other, marks=pytest.mark.slow) for other in (("LSTM", "export"), ("SkipGRU", "saved_model"))),
    ],
)
def test_saved_model_computes_the_same(name: str, way: str, tmp_path: Path) -> None:
    model = model_of(name, seed=1, engine="fast")
    expected = outputs(model)
    if way == "export":
        model.export(tmp_path / "model", verbose=False)
        loaded = tf.saved_model.load(str(tmp_path / "model"))
        found = loaded.serve(X)
    else:
        tf.saved_model.save(model, str(tmp_path / "model"))
        loaded = tf.saved_model.load(str(tmp_path / "model"))
        answer = loaded.signatures["serving_default"](tf.constant(X))
        found = [answer[f"output_{number}"] for number in range(len(expected))]
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_saved_model_holds_a_cell(name: str, tmp_path: Path) -> None:
    class Step(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = build(name, seed=1, input_size=3)

        @tf.function(input_signature=[tf.TensorSpec([None, 3])])
        def __call__(self, x: tf.Tensor) -> list[tf.Tensor]:
            return tf.nest.flatten(self.cell(x))

    step = Step()
    tf.saved_model.save(step, str(tmp_path / "step"))
    loaded = tf.saved_model.load(str(tmp_path / "step"))
    for one, other in zip(outputs(step.cell), loaded(X[:, 0]), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_copies_and_pickles_compute_the_same(name: str, copied: Callable[[Any], Any]) -> None:
    module = build(name, seed=1, input_size=3)
    for one, other in zip(outputs(module), outputs(copied(module)), strict=True):
        np.testing.assert_array_equal(one, other)
