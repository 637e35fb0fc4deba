"""Bernoulli gates without noise given: drawn from the framework's generator, in training and inference alike."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls.contract import ENGINES, FRAMEWORKS, Array
from tests.impls.frameworks import FORMS, array, tensor

BATCH, TIME = 8, 20
X = np.random.default_rng(7).normal(size=(BATCH, TIME, 3)).astype(np.float32)


def set_seed(framework: str, seed: int) -> None:
    if framework == "pytorch":
        import torch

        torch.manual_seed(seed)
    else:
        import tensorflow as tf

        tf.random.set_seed(seed)


def uniform(framework: str, shape: tuple[int, ...], dtype: str) -> Any:
    if framework == "pytorch":
        import torch

        return torch.rand(shape, dtype=getattr(torch, dtype))
    import tensorflow as tf

    return tf.random.uniform(shape, dtype=dtype)


def built(framework: str, form: str, **options: Any) -> Any:
    module = importlib.import_module(f"impls.{framework}")
    if form == "layer":
        return module.SkipGRU(5, input_size=3, gate="bernoulli", update_bias=0.0, seed=1, **options)
    return module.MultiSkipLSTMCell((4, 5), input_size=3, gate="bernoulli", update_bias=0.0, seed=1, **options)


def gates(framework: str, form: str, module: Any, x: Array = X, **draws: Any) -> Array:
    inputs = tensor(framework, x)
    if form == "layer":
        return array(module(inputs, **draws)[0].state_gate)[..., 0]
    found, state = [], None
    for t in range(TIME):
        outputs, state = module(inputs[:, t], state, **{name: draw[:, t : t + 1] for name, draw in draws.items()})
        found.append(array(outputs.state_gate)[:, 0])
    return np.stack(found, axis=1)


@pytest.mark.covering("framework, engine", "dtype")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_layer_draws_what_the_framework_draws(framework: str, engine: str, dtype: str) -> None:
    layer = built(framework, "layer", engine=engine, dtype=dtype)
    set_seed(framework, 3)
    drawn = gates(framework, "layer", layer, X.astype(dtype))
    set_seed(framework, 3)
    noise = uniform(framework, (BATCH, TIME), dtype)
    np.testing.assert_array_equal(drawn, gates(framework, "layer", layer, X.astype(dtype), gate_noise=noise))
    assert (drawn != gates(framework, "layer", layer, X.astype(dtype))).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_draws_follow_the_seed_and_noise_that_is_given_is_used(framework: str, form: str) -> None:
    module = built(framework, form)
    found = []
    for seed in (1, 1, 2):
        set_seed(framework, seed)
        found.append(gates(framework, form, module))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    noise = tensor(framework, np.random.default_rng(1).uniform(size=(BATCH, TIME)).astype(np.float32))
    ours, again = (gates(framework, form, module, gate_noise=noise) for _ in range(2))
    np.testing.assert_array_equal(ours, again)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_updates_come_as_often_as_the_gate_says(framework: str) -> None:
    """With a constant Δũ = 1/3 a gap is 1, 2 or 3 with probability 1/3, 4/9 and 2/9: 17/9 on average."""
    layer = built(framework, "layer")
    values = {name: np.zeros_like(value) for name, value in layer.export_parameters().items()}
    values["update_gate.biases"][:] = np.log(0.5)
    layer.load_parameters(values)
    set_seed(framework, 5)
    found = gates(framework, "layer", layer, np.zeros((200, 60, 3), np.float32))
    gaps = np.concatenate([np.diff(np.flatnonzero(row)) for row in found])
    frequencies = np.bincount(gaps, minlength=4)[:4] / len(gaps)
    np.testing.assert_allclose(frequencies, [0, 1 / 3, 4 / 9, 2 / 9], rtol=0, atol=0.02)


def test_pytorch_draws_in_inference_too() -> None:
    layer = built("pytorch", "layer").eval()
    assert (gates("pytorch", "layer", layer) != gates("pytorch", "layer", layer)).any()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_traced_function_draws_anew_at_every_call(jit_compile: bool) -> None:
    import tensorflow as tf

    layer = built("tensorflow", "layer", engine="reference")
    traced = tf.function(lambda x: layer(x)[0].state_gate, jit_compile=jit_compile)
    assert (traced(X).numpy() != traced(X).numpy()).any()


def test_keras_model_draws_anew_at_every_call() -> None:
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([built("tensorflow", "layer", return_sequences=True)])
    assert (model.predict(X, verbose=0) != model.predict(X, verbose=0)).any()


@pytest.mark.parametrize("time", [None, TIME])
def test_sizes_may_be_unknown_where_noise_is_drawn(time: int | None) -> None:
    import tensorflow as tf

    layer = built("tensorflow", "layer")
    traced = tf.function(lambda x: layer(x)[0].state_gate, input_signature=[tf.TensorSpec([None, time, 3], tf.float32)])
    assert traced(X).shape == (BATCH, TIME, 1)


def spied(framework: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    layers = importlib.import_module(f"impls.{framework}.layers")
    unroll, found = layers.unroll, []

    def spy(*arguments: Any, **options: Any) -> Any:
        found.append(str(getattr(options["gate_noise"].dtype, "name", options["gate_noise"].dtype)))
        return unroll(*arguments, **options)

    monkeypatch.setattr(layers, "unroll", spy)
    return lambda: found[-1].removeprefix("torch.")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_noise_is_float32_at_least(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 has 0.996 and 1: of the noise between them half would be 1, and a gate of 1 would not fire."""
    dtype_of_noise = spied(framework, monkeypatch)
    layer = built(framework, "layer", dtype="bfloat16", engine="reference")
    x = tensor(framework, X)
    x = x.bfloat16() if framework == "pytorch" else x
    noise = tensor(framework, np.full((BATCH, TIME), 0.9999, np.float32))
    for draws in ({}, {"gate_noise": noise}):
        outputs, _ = layer(x, **draws)
        assert dtype_of_noise() == "float32"
        first = outputs.state_gate[:, 0]
        assert array(first.float() if framework == "pytorch" else first).all()
