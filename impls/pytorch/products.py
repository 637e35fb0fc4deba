"""Matrix products at a trial's precision: what PyTorch's libraries are told, and operands rounded to bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from impls.errors import CellError

# Cards before Ampere have no tensor cores for either; PyTorch would multiply in float32 and say nothing.
LEAST_CAPABILITY = (8, 0)


@contextmanager
def multiplying(precision: str, *, device: str) -> Iterator[None]:
    """How a GPU multiplies while the context is open; what was set before is put back.

    Without it cuDNN multiplies float32 in TF32, and cuBLAS in float32. On a CPU there is nothing to set.
    """
    if device != "cuda":
        yield
        return
    in_tf32 = precision == "tf32"
    of_float32 = "tf32" if in_tf32 else "ieee"
    cuda: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    settings: list[tuple[Any, str, object]] = [
        (cuda, "fp32_precision", of_float32),
        (cudnn.conv, "fp32_precision", of_float32),
        (cudnn.rnn, "fp32_precision", of_float32),
        (cuda, "allow_bf16_reduced_precision_reduction", False),
    ]
    before = [getattr(place, name) for place, name, _ in settings]
    older = _older_flags()
    try:
        if older is not None:
            _set_older_flags("high" if in_tf32 else "highest", in_tf32)
        for place, name, value in settings:
            setattr(place, name, value)
        yield
    finally:
        if older is not None:
            _set_older_flags(*older)
        for (place, name, _), value in zip(settings, before, strict=True):
            setattr(place, name, value)


def _older_flags() -> tuple[str, bool] | None:
    """PyTorch's older words for the same, of its products and of cuDNN's; None where it says that newer ones differ.

    Who reads them within a step, a hook or a profiler, would be refused if they did not go along.
    """
    try:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None


def _set_older_flags(of_products: str, of_cudnn: bool) -> None:
    """Sets the newer ones too."""
    torch.set_float32_matmul_precision(of_products)
    torch.backends.cudnn.allow_tf32 = of_cudnn


def check_card(precision: str, *, device: str) -> None:
    """Raises `CellError` where the GPU does not multiply so."""
    if device != "cuda" or precision == "float32":
        return
    found = torch.cuda.get_device_capability()
    if found < LEAST_CAPABILITY:
        raise CellError(
            f"precision={precision!r} needs a GPU of compute capability 8.0, and {torch.cuda.get_device_name()} has "
            f"{found[0]}.{found[1]}; use precision='float32'"
        )


def product(left: Tensor, right: Tensor, *, precision: str) -> Tensor:
    """`left @ right`, of `[…, inner]` and `[inner, outer]`.

    With `bfloat16` the operands are rounded to it, to nearest, ties to even, and so are those of the gradient's two
    products; sums are of the operands' own type. With `float32` and `tf32` `multiplying` says what is done.
    """
    if precision != "bfloat16":
        return left @ right
    result: Tensor = _RoundedProduct.apply(left, right)  # type: ignore[no-untyped-call]
    return result


class _RoundedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        rows = left.reshape(-1, left.shape[-1])
        return _multiply(rows, right).reshape(*left.shape[:-1], right.shape[1])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, Tensor | None]:
        left, right = ctx.saved_tensors
        (g,) = cotangents
        of_left, of_right = ctx.needs_input_grad
        rows, flat = left.reshape(-1, left.shape[-1]), g.reshape(-1, g.shape[-1])
        return (
            product(g, right.T, precision="bfloat16") if of_left else None,
            product(rows.T, flat, precision="bfloat16") if of_right else None,
        )


def _multiply(left: Tensor, right: Tensor) -> Tensor:
    """The product of two matrices rounded to bfloat16, in their own type.

    A product of two such numbers is exact in float32, so that where there are no units for them float32's do the same.
    """
    if left.device.type == "cuda" and left.dtype == torch.float32:
        result: Tensor = torch.mm(left.bfloat16(), right.bfloat16(), out_dtype=torch.float32)
        return result
    return left.bfloat16().to(left.dtype) @ right.bfloat16().to(right.dtype)
