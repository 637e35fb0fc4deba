"""What an engine runs: which of its implementations, by where tensors lie and of what type they are."""

from __future__ import annotations

_KERNEL_DTYPES = ("float32", "float64")


def implementation_of(engine: str, *, device: str, dtype: str, precision: str = "float32") -> str:
    """The name of what `unroll` runs.

    `kernels` read float32 and float64 in the CPU's memory, and multiply in them; everything else that is fast is
    `operations`.

    Args:
        engine: one of `impls.contract.MODEL_ENGINES`.
        device: the type of the inputs' device, such as `cpu` or `cuda`.
        dtype: the inputs' floating type, such as `float32`.
        precision: one of `impls.contract.PRECISIONS`.
    """
    if engine != "fast":
        return engine
    return "kernels" if device == "cpu" and dtype in _KERNEL_DTYPES and precision == "float32" else "operations"
