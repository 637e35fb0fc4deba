"""A Skip LSTM in a training loop of your own, in TensorFlow: different lengths, saving, loading, used steps.

    python examples/own_training_tensorflow.py

The task: is the sum of the first three values of a sequence above zero? What follows them can be skipped.
`own_training_pytorch.py` is the same in PyTorch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from impls.tensorflow import SkipLSTM

LONGEST, FEATURES, UNITS = 20, 1, 32
BUDGET_COST = 1e-3  # λ: what an update costs, in units of the loss


class Classifier(keras.Model):
    """A Skip LSTM; h where a sequence ends decides."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = SkipLSTM(units=UNITS, seed=0)
        self.readout = keras.layers.Dense(1)

    def call(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, `[batch]`, and the gates, `[batch, time]`: 1 where the state was updated, 0 on padding."""
        outputs, state = self.recurrent(inputs, lengths=lengths)
        return self.readout(state.h)[:, 0], outputs.state_gate[:, :, 0]


def make_batch(generator: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs `[size, time, 1]`, lengths `[size]` from 5 to 20, targets `[size]` in {0, 1}."""
    lengths = generator.integers(5, LONGEST + 1, size)
    values = generator.uniform(-1, 1, (size, LONGEST)) * (np.arange(LONGEST) < lengths[:, None])
    targets = values[:, :3].sum(axis=1) > 0
    return tf.constant(values[:, :, None], tf.float32), tf.constant(lengths), tf.constant(targets, tf.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, help="training steps")
    parser.add_argument(
        "--to", type=Path, default=Path("own_training.weights.h5"), help="where they are saved, a file.weights.h5"
    )
    arguments = parser.parse_args()

    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model = Classifier()
    optimizer = keras.optimizers.Adam(1e-2, global_clipnorm=1.0)

    @tf.function(jit_compile=True)
    def train_step(inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with tf.GradientTape() as tape:
            logits, gates = model(inputs, lengths)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))
            budget_loss = BUDGET_COST * tf.reduce_mean(tf.reduce_sum(gates, axis=1))
            total = loss + budget_loss
        optimizer.apply_gradients(
            zip(tape.gradient(total, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return loss, gates

    model(*make_batch(generator, 1)[:2])  # makes the parameters, which a compiled step cannot
    optimizer.build(model.trainable_variables)
    for step in range(1, arguments.steps + 1):
        inputs, lengths, targets = make_batch(generator, 64)
        loss, gates = train_step(inputs, lengths, targets)
        if step % 100 == 0 or step == arguments.steps:
            print(f"step {step}: loss {float(loss):.3f}, {np.sum(gates) / np.sum(lengths):.0%} updates")

    model.save_weights(arguments.to)
    again = Classifier()
    again(*make_batch(generator, 1)[:2])
    again.load_weights(arguments.to)

    inputs, lengths, targets = make_batch(generator, 1000)
    logits, gates = again(inputs, lengths)
    accuracy = np.mean((logits.numpy() > 0) == (targets.numpy() > 0))
    print(f"loaded from {arguments.to}: {accuracy:.1%} right, {np.sum(gates) / np.sum(lengths):.0%} updates")
    for row in range(5):
        used = gates[row, : int(lengths[row])].numpy()
        print("steps used of a sequence: " + "".join("█" if gate else "·" for gate in used))


if __name__ == "__main__":
    main()
