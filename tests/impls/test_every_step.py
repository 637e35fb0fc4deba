"""What the public layers ask of the engines: h at the last step alone where no other is wanted."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from impls.contract import ENGINES, FRAMEWORKS
from tests.impls.frameworks import array, leaves, tensor

X = np.random.default_rng(7).normal(size=(4, 6, 3)).astype(np.float32)
LAYERS = ("LSTM", "GRU", "SkipLSTM", "SkipGRU")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What each call of `unroll` asked for."""
    found: list[bool] = []
    for framework in FRAMEWORKS:
        layers = importlib.import_module(f"impls.{framework}.layers")

        def spy(*arguments: Any, unroll: Any = layers.unroll, **options: Any) -> Any:
            found.append(options["every_step"])
            return unroll(*arguments, **options)

        monkeypatch.setattr(layers, "unroll", spy)
    return found


def built(framework: str, name: str, **options: Any) -> Any:
    return getattr(importlib.import_module(f"impls.{framework}"), name)((2, 5), input_size=3, seed=1, **options)


@pytest.mark.covering("framework, engine", "name")
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LAYERS)
def test_every_step_is_the_default(name: str, engine: str, framework: str, asked: list[bool]) -> None:
    assert built(framework, name, engine=engine)(tensor(framework, X))[0].h.shape == (4, 6, 5)
    assert asked == [True]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LAYERS)
def test_pytorch_layer_gives_the_last_step_alone(name: str, engine: str, batch_first: bool, asked: list[bool]) -> None:
    x = tensor("pytorch", X)
    whole, state = built("pytorch", name, engine=engine)(x)
    ending = built("pytorch", name, engine=engine, every_step=False, batch_first=batch_first)
    outputs, last = ending(x if batch_first else x.transpose(0, 1))
    assert asked == [True, False]
    np.testing.assert_array_equal(array(outputs.h), array(whole.h)[:, -1])
    gates = outputs.state_gate if batch_first else outputs.state_gate.transpose(0, 1)
    np.testing.assert_array_equal(array(gates), array(whole.state_gate))
    for one, other in zip(leaves(last), leaves(state), strict=True):
        np.testing.assert_array_equal(array(one), array(other))


@pytest.mark.covering
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LAYERS)
def test_keras_layer_gives_the_last_step_alone(name: str, engine: str, asked: list[bool]) -> None:
    outputs, state = built("tensorflow", name, engine=engine)(X)
    expected = [array(outputs.h)[:, -1], *(array(leaf) for leaf in leaves(state))]
    last = built("tensorflow", name, engine=engine, return_sequences=False)(X)
    with_state = built("tensorflow", name, engine=engine, return_sequences=False, return_state=True)(X)
    state_alone = built("tensorflow", name, engine=engine, return_state=True)(X)
    assert asked == [True, False, False, False]
    np.testing.assert_array_equal(array(last), expected[0])
    for found in (with_state, state_alone):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array(one), other)
    for options in ({}, {"return_state": True}):
        built("tensorflow", name, engine=engine, return_sequences=True, **options)(X)
    assert asked[4:] == [True, True]
