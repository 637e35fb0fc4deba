"""Matrix products at a trial's precision: what TensorFlow's libraries are told, and operands rounded to bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf
from tensorflow import Tensor

from impls.errors import CellError

# Cards before Ampere have no tensor cores for either; TensorFlow would multiply in float32 and say nothing.
LEAST_CAPABILITY = (8, 0)


@contextmanager
def multiplying(precision: str, *, device: str) -> Iterator[None]:
    """How a GPU multiplies while the context is open; what was set before is put back.

    Without it TensorFlow multiplies float32 in TF32. Operands that are rounded to bfloat16 are exact in TF32. On a CPU
    there is nothing to set.
    """
    if device != "cuda":
        yield
        return
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(precision != "float32")
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def check_card(precision: str, *, device: str) -> None:
    """Raises `CellError` where the GPU does not multiply so."""
    if device != "cuda" or precision == "float32":
        return
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    found = details["compute_capability"]
    if found < LEAST_CAPABILITY:
        raise CellError(
            f"precision={precision!r} needs a GPU of compute capability 8.0, and {details['device_name']} has "
            f"{found[0]}.{found[1]}; use precision='float32'"
        )


def product(
    left: Tensor, right: Tensor, *, precision: str, transpose_left: bool = False, transpose_right: bool = False
) -> Tensor:
    """`left @ right`, of `[…, inner]` and `[inner, outer]`.

    Either may be given transposed. With `bfloat16` the operands are rounded to it, to nearest, ties to even, and so are
    those of the gradient's two products; sums are of the operands' own type. With `float32` and `tf32` `multiplying`
    says what is done.
    """
    if precision != "bfloat16":
        return tf.matmul(left, right, transpose_a=transpose_left, transpose_b=transpose_right)
    left = tf.transpose(left) if transpose_left else tf.convert_to_tensor(left)
    right = tf.transpose(right) if transpose_right else tf.convert_to_tensor(right)
    return _rounded_product(left, right)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _rounded_product(left: Tensor, right: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    def gradient(g: Tensor) -> tuple[Tensor, Tensor]:
        rows, flat = tf.reshape(left, [-1, left.shape[-1]]), tf.reshape(g, [-1, g.shape[-1]])
        return (
            product(g, right, precision="bfloat16", transpose_right=True),
            product(rows, flat, precision="bfloat16", transpose_left=True),
        )

    return tf.matmul(_rounded(left), _rounded(right)), gradient


def _rounded(x: Tensor) -> Tensor:
    """`x` rounded to bfloat16, in its own type.

    By bits, since XLA is free to leave out a cast to a narrower type and back (`xla_allow_excess_precision`).
    """
    narrow = tf.cast(x, tf.float32)
    bits = tf.bitcast(narrow, tf.int32)
    odd = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 16), 1)
    kept = tf.bitwise.bitwise_and(bits + 0x7FFF + odd, -0x10000)
    rounded = tf.where(tf.math.is_nan(narrow), narrow, tf.bitcast(kept, tf.float32))
    return tf.cast(rounded, x.dtype)
