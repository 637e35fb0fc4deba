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
from impls.tensorflow.products import multiplying

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
    place = "/GPU:0" if device == "cuda" else "/CPU:0"
    with tf.device(place):
        if baseline == "products" and device == "cuda":
            step = _one_product_step(model=model, batch=batch, training=training)
        elif baseline == "products":
            step = _products_step(model=model, batch=batch, training=training)
        else:
            jit = baseline == "native_jit"
            step = _native_step(model=model, optimizer=optimizer, batch=batch, training=training, jit=jit)

    def multiplied() -> object:
        with tf.device(place), multiplying(model.cell.precision, device=device):
            return step()

    return multiplied


def operand_type(model: ModelSpec) -> tf.DType:
    """What a baseline's products read."""
    return tf.bfloat16 if model.cell.precision == "bfloat16" else tf.float32


class NativeModel:
    """`keras.layers.LSTM` or `keras.layers.GRU` and a readout of its last step: `[batch, time, features]` to logits."""

    def __init__(self, spec: ModelSpec) -> None:
        dtype = "mixed_bfloat16" if spec.cell.precision == "bfloat16" else "float32"
        self.recurrent = NATIVE_LAYERS[spec.cell.kind.name](spec.cell.units[0], dtype=dtype)
        self.readout = keras.layers.Dense(spec.output_size, dtype=dtype)
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
    if jit:  # XLA does not compile cuDNN's layers
        native.recurrent.use_cudnn = False
    layers = (native.recurrent, native.readout)
    variables = [variable.value for layer in layers for variable in layer.trainable_variables]
    adam = Adam(optimizer, variables)

    def loss_and_outputs(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        outputs = tf.cast(native(inputs), tf.float32)
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
    dtype = operand_type(model)
    matrices = [tf.random.normal(shape, dtype=dtype) for shape in shapes.values() if len(shape) == 2]
    gradients = [tf.random.normal([2, size, matrix.shape[1]], dtype=dtype) for matrix in matrices]
    states = tf.random.normal([2, size, spec.input_size + spec.units[0]], dtype=dtype)

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


def _one_product_step(*, model: ModelSpec, batch: Batch, training: bool) -> Callable[[], object]:
    """The multiply–adds of `_products_step`, those of all steps of time in one product."""
    spec = model.cell
    rows = batch.inputs.shape[1] * batch.size
    shapes = layer_shapes(
        spec.kind, input_size=spec.input_size, units=spec.units[0], layer_norm=False, initial_state="zeros"
    )
    dtype = operand_type(model)
    matrices = [tf.random.normal(shape, dtype=dtype) for shape in shapes.values() if len(shape) == 2]
    states = tf.random.normal([rows, spec.input_size + spec.units[0]], dtype=dtype)
    gradients = [tf.random.normal([rows, matrix.shape[1]], dtype=dtype) for matrix in matrices] if training else []

    def step() -> object:
        last = [tf.matmul(states, matrix) for matrix in matrices]
        for matrix, gradient in zip(matrices[: len(gradients)], gradients, strict=True):
            last = [
                tf.matmul(gradient, matrix[spec.input_size :], transpose_b=True),
                tf.matmul(states, gradient, transpose_a=True),
            ]
        return last[-1][0, 0].numpy()  # waits for the device

    return step
