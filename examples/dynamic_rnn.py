"""The authors' way to use their cells: a TensorFlow 1 graph, `dynamic_rnn`, a session.

    python examples/dynamic_rnn.py

The adding task in small: of two marked values among `LENGTH`, the sum. Programs that use the authors' cells change the
import, say `units` where they say `num_units=`, and give options by name; what else differs is in `docs/fidelity.md`.
"""

from __future__ import annotations

import argparse

import numpy as np
import tensorflow.compat.v1 as tf

from impls.tensorflow import SkipLSTMCell

LENGTH, BATCH, UNITS = 10, 64, 32
BUDGET_COST = 1e-3  # λ: what an update costs, in units of the loss


def make_batch(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `[batch, time, (value, mark)]` and targets `[batch]`."""
    values = generator.uniform(-0.5, 0.5, (BATCH, LENGTH))
    marks = np.zeros((BATCH, LENGTH))
    for row in marks:
        row[generator.choice(LENGTH, 2, replace=False)] = 1
    return np.stack([values, marks], axis=-1), (values * marks).sum(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="training steps")
    steps = parser.parse_args().steps

    generator = np.random.default_rng(0)
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        x = tf.placeholder(tf.float32, [BATCH, LENGTH, 2])
        y = tf.placeholder(tf.float32, [BATCH])

        cell = SkipLSTMCell(UNITS, seed=0)
        initial_state = cell.trainable_initial_state(BATCH)
        outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32, initial_state=initial_state)
        h, updated_states = outputs.h, outputs.state_gate

        weights = tf.get_variable("readout", [UNITS, 1])
        loss = tf.reduce_mean((tf.matmul(h[:, -1], weights)[:, 0] - y) ** 2)
        budget_loss = BUDGET_COST * tf.reduce_mean(tf.reduce_sum(updated_states, axis=1))
        used = tf.reduce_mean(updated_states)

        optimizer = tf.train.AdamOptimizer(1e-2)
        gradients, variables = zip(*optimizer.compute_gradients(loss + budget_loss), strict=True)
        clipped, _ = tf.clip_by_global_norm(gradients, 1.0)
        train = optimizer.apply_gradients(zip(clipped, variables, strict=True))

        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for step in range(1, steps + 1):
                inputs, targets = make_batch(generator)
                _, error, share = session.run([train, loss, used], {x: inputs, y: targets})
                if step % 200 == 0 or step == steps:
                    print(f"step {step}: squared error {error:.4f}, {share:.0%} updates")


if __name__ == "__main__":
    main()
