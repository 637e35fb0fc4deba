"""Layers under `tf.cond`: an `if` on a tensor in a traced function, differentiated inside and outside of it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from impls.contract import ENGINES
from impls.tensorflow import SkipGRU

X = tf.constant(np.random.default_rng(0).standard_normal((3, 5, 2)), tf.float32)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_layer_in_a_branch_has_its_gradient(engine: str) -> None:
    layer = SkipGRU(3, input_size=2, seed=0, engine=engine)

    def loss(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(layer(x)[0].h ** 2)

    @tf.function
    def inside(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            of_branch = loss(x) if tf.reduce_sum(x) > -1e9 else 0.0
        return tape.gradient(of_branch, x)

    with tf.GradientTape() as tape:
        tape.watch(X)
        value = loss(X)
    np.testing.assert_allclose(inside(X), tape.gradient(value, X), rtol=1e-5, atol=1e-7)


def test_a_cell_that_is_built_stays_so() -> None:
    from impls.tensorflow import SkipLSTMCell

    cell = SkipLSTMCell(3, input_size=2, seed=0)
    cell.build((None, 5))
    outputs, _ = cell(tf.zeros([4, 2]), cell.trainable_initial_state(4))
    assert outputs.h.shape == (4, 3)
