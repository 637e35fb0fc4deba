"""TensorFlow's cells under `tf.compat.v1.nn.dynamic_rnn` in graph mode, as the authors' users write it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from impls import reference
from impls.contract import Array
from impls.errors import CellError
from impls.kinds import SkipLSTMState
from impls.tensorflow import (
    GRUCell,
    LSTMCell,
    MultiGRUCell,
    MultiLSTMCell,
    MultiSkipGRUCell,
    MultiSkipLSTMCell,
    SkipGRUCell,
    SkipLSTMCell,
)
from tests.impls import recorded_runs
from tests.impls.frameworks import build

v1 = tf.compat.v1
NUM_CELLS, BATCH_SIZE, INPUT_SIZE, COST_PER_SAMPLE = 5, 4, 3, 1e-2


def sequences(time: int = 7) -> Array:
    return np.random.default_rng(6).normal(size=(BATCH_SIZE, time, INPUT_SIZE)).astype(np.float32)


def test_usage_example_of_the_authors_trains(tmp_path: Path) -> None:
    """Their README's example, with a task loss, their optimizer and a saver put to it."""
    tf.keras.utils.set_random_seed(1)  # initial values are drawn, and not from all is so much learned in 20 steps
    with v1.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, None, INPUT_SIZE])

        cell = SkipLSTMCell(NUM_CELLS)
        initial_state = cell.trainable_initial_state(BATCH_SIZE)

        rnn_outputs, rnn_states = v1.nn.dynamic_rnn(cell, x, dtype=tf.float32, initial_state=initial_state)
        rnn_outputs, updated_states = rnn_outputs.h, rnn_outputs.state_gate

        budget_loss = tf.reduce_mean(tf.reduce_sum(COST_PER_SAMPLE * updated_states, 1), 0)
        loss = tf.reduce_mean(rnn_outputs[:, -1] ** 2) + budget_loss
        train = v1.train.AdamOptimizer(1e-2).minimize(loss)

        assert rnn_outputs.shape.as_list() == [BATCH_SIZE, None, NUM_CELLS]
        assert updated_states.shape.as_list() == [BATCH_SIZE, None, 1]
        assert isinstance(rnn_states, SkipLSTMState)
        trained = {variable.ref() for variable in v1.trainable_variables()}
        assert trained == {variable.ref() for variable in cell.parameters_by_name().values()}

        saver = v1.train.Saver()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            losses = [session.run([loss, train], {x: sequences()})[0].item() for _ in range(20)]
            assert losses[-1] < 0.8 * losses[0]
            checkpoint = saver.save(session, str(tmp_path / "model"))
            learned = cell.export_parameters()
            h, gates = session.run([rnn_outputs, updated_states], {x: sequences()})
        oracle = reference.unroll(cell.spec, learned, sequences())
        np.testing.assert_array_equal(gates[..., 0], oracle.gates)
        np.testing.assert_allclose(h, oracle.h, rtol=0, atol=2e-6)

        with v1.Session() as session:
            saver.restore(session, checkpoint)
            np.testing.assert_array_equal(session.run(rnn_outputs, {x: sequences()}), h)
            cell.load_parameters({name: np.zeros_like(value) for name, value in learned.items()})
            assert not session.run(rnn_outputs, {x: sequences()}).any()


@pytest.mark.parametrize(
    ("cell_class", "units", "given"),
    [
        (SkipLSTMCell, 4, False),
        (SkipGRUCell, 4, True),
        (LSTMCell, 4, True),
        (GRUCell, 4, False),
        (MultiSkipLSTMCell, [4, 5], True),
        (MultiSkipGRUCell, [4, 5], False),
        (MultiLSTMCell, [4, 5], False),
        (MultiGRUCell, [4, 5], True),
    ],
)
def test_every_cell_unrolls_with_a_gradient_for_every_parameter(cell_class: type, units: object, given: bool) -> None:
    """Given its initial state, or left to take it itself: ũ starts at 1 either way."""
    with v1.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, None, INPUT_SIZE])
        cell = cell_class(units, seed=1)
        state = {"initial_state": cell.trainable_initial_state(BATCH_SIZE)} if given else {}
        outputs, _ = v1.nn.dynamic_rnn(cell, x, dtype=tf.float32, **state)
        loss = tf.reduce_sum(outputs.h) + tf.reduce_sum(outputs.state_gate)
        gradients = v1.gradients(loss, v1.trainable_variables())
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            h, gates, gradients = session.run([outputs.h, outputs.state_gate, gradients], {x: sequences()})
            oracle = reference.unroll(cell.spec, cell.export_parameters(), sequences())
    np.testing.assert_array_equal(gates[..., 0], oracle.gates)
    np.testing.assert_allclose(h, oracle.h, rtol=0, atol=2e-6)
    assert len(gradients) == len(cell.parameters_by_name())
    assert all(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("name", ["skip_lstm_24_bias-1", "skip_gru_16x24_layernorm_bias-3"])
def test_recorded_run_is_reproduced(name: str) -> None:
    recorded = recorded_runs.load(name)
    with v1.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, None, recorded.x.shape[2]])
        cell = build("tensorflow", "cell", recorded.spec)
        state = cell.trainable_initial_state(len(recorded.x))
        outputs, _ = v1.nn.dynamic_rnn(cell, x, dtype=tf.float32, initial_state=state)
        with v1.Session():
            cell.load_parameters(recorded.parameters)
            np.testing.assert_array_equal(outputs.state_gate.eval({x: recorded.x}), recorded.state_gate)
            np.testing.assert_allclose(outputs.h.eval({x: recorded.x}), recorded.h, rtol=0, atol=2e-6)


def test_parameters_of_a_graph_want_a_session() -> None:
    with v1.Graph().as_default():
        cell = SkipGRUCell(4, input_size=3)
        with pytest.raises(CellError, match="call this inside `with session:`"):
            cell.export_parameters()


def test_unknown_number_of_features_is_refused() -> None:
    with v1.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, None])
        with pytest.raises(CellError, match=r"inputs have shape \[None, None\] where \[batch, features\], the last"):
            SkipGRUCell(4)(x)


def test_cell_runs_with_version_2_behaviour_off() -> None:
    """As the first lines of ported TensorFlow 1 programs have it; in a process of its own."""
    program = """
import numpy as np, tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
from impls.tensorflow import SkipLSTMCell
x = tf.placeholder(tf.float32, [None, None, 3])
cell = SkipLSTMCell(4, layer_norm=True)
outputs, states = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32, initial_state=cell.trainable_initial_state(2))
loss = tf.reduce_mean(outputs.h ** 2) + tf.reduce_mean(tf.reduce_sum(1e-2 * outputs.state_gate, 1))
train = tf.train.AdamOptimizer(1e-2).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    losses = [session.run([loss, train], {x: np.ones([2, 5, 3])})[0] for _ in range(5)]
    cell.load_parameters(cell.export_parameters())
assert losses[-1] < losses[0], losses
assert len(tf.trainable_variables()) == len(cell.parameters_by_name()) == 8
"""
    root = Path(__file__).parents[3]
    finished = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
