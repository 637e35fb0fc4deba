"""What the engines are measured against: Keras's own layers, and the matrix products alone."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
from tensorflow import Tensor

from impls.contract import Batch, ModelSpec, OptimizerSpec
from impls.parameters import layer_shapes
from impls.tensorflow.device import begin_on, set_threads
from impls.tensorflow.losses import task_loss
from impls.tensorflow.optimizer import Adam

NATIVE_LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def build_baseline(
    *,
    baseline: str,
    model: ModelSpec,
    optimizer: OptimizerSpec,
    batch: Batch,
    training: bool,
    device: str,
    threads: int,
) -> Callable[[], object]:
    """One step of a baseline; arguments as in `impls.contract.build_baseline`."""
    set_threads(threads)
    begin_on(device)
    with tf.device("/GPU:0" if device == "cuda" else "/CPU:0"):
        if baseline == "products":
            return _products_step(model=model, batch=batch, training=training)
        jit = baseline == "native_jit"
        return _native_step(model=model, optimizer=optimizer, batch=batch, training=training, jit=jit)


class NativeModel:
    """`keras.layers.LSTM` or `keras.layers.GRU` and a readout of its last step: `[batch, time, features]` to logits."""

    def __init__(self, spec: ModelSpec) -> None:
        self.recurrent = NATIVE_LAYERS[spec.cell.kind.name](spec.cell.units[0])
        self.readout = keras.layers.Dense(spec.output_size)
        self.recurrent.build((None, None, spec.cell.input_size))
        self.readout.build((None, spec.cell.units[0]))

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits, `[batch, outputs]`."""
        return self.readout(self.recurrent(inputs))


def _native_step(
    *, model: ModelSpec, optimizer: OptimizerSpec, batch: Batch, training: bool, jit: bool
) -> Callable[[], object]:
    """A step of the framework's own layer, from the batch's arrays to numbers, as a learner does it."""
    native = NativeModel(model)
    layers = (native.recurrent, native.readout)
    variables = [variable.value for layer in layers for variable in layer.trainable_variables]
    adam = Adam(optimizer, variables)

    def loss_and_outputs(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        outputs = native(inputs)
        return task_loss(model.loss, outputs, targets, mask=None), outputs

    def descend(inputs: Tensor, targets: Tensor, rate: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            loss, _ = loss_and_outputs(inputs, targets)
        adam.step(tape.gradient(loss, variables), rate=rate)
        return loss

    compiled_descend = tf.function(descend, jit_compile=jit)
    compiled_forward = tf.function(loss_and_outputs, jit_compile=jit)

    def tensors() -> list[Tensor]:
        return [tf.convert_to_tensor(array) for array in (batch.inputs, batch.targets)]

    def train() -> object:
        return float(compiled_descend(*tensors(), tf.constant(adam.next_rate())))  # waits for the device

    def evaluate() -> object:
        loss, outputs = compiled_forward(*tensors())
        return float(loss), outputs.numpy()

    return train if training else evaluate


def _products_step(*, model: ModelSpec, batch: Batch, training: bool) -> Callable[[], object]:
    """The products of `[x, h]` with each matrix, at every step of time; in training also the backward's two.

    These are `[batch, width] @ [width, units]` for the gradient of h and `[inputs + units, batch] @ [batch, width]`
    for that of the matrix. All read the same few tensors at every step, so that they stay in cache.
    """
    spec = model.cell
    length, size = batch.inputs.shape[1], batch.size
    shapes = layer_shapes(
        spec.kind, input_size=spec.input_size, units=spec.units[0], layer_norm=False, initial_state="zeros"
    )
    # Two of each operand, by turns: XLA would take the product of one out of the loop.
    matrices = [tf.random.normal(shape) for shape in shapes.values() if len(shape) == 2]
    gradients = [tf.random.normal([2, size, matrix.shape[1]]) for matrix in matrices]
    states = tf.random.normal([2, size, spec.input_size + spec.units[0]])

    def forward(turn: Tensor) -> list[Tensor]:
        return [states[turn] @ matrix for matrix in matrices]

    def backward(turn: Tensor) -> list[Tensor]:
        products = []
        for matrix, gradient in zip(matrices, gradients, strict=True):
            products.append(tf.matmul(gradient[turn], matrix[spec.input_size :], transpose_b=True))
            products.append(tf.matmul(states[turn], gradient[turn], transpose_a=True))
        return products

    def run_products() -> list[Tensor]:
        last: list[Tensor] = []
        for products in [forward, backward] if training else [forward]:
            zeros = [tf.zeros_like(product) for product in products(tf.constant(0))]
            last += tf.while_loop(
                lambda t, *_: t < length,
                lambda t, *_, products=products: (t + 1, *products(t % 2)),
                (tf.constant(0), *zeros),
            )[1:]
        return last

    compiled = tf.function(run_products, jit_compile=True)

    def step() -> object:
        return compiled()[-1][0, 0].numpy()  # waits for the device

    return step
