"""What an engine runs: which of its implementations, by where tensors lie and of what type they are."""

from __future__ import annotations


def implementation_of(engine: str, *, device: str, dtype: str, precision: str = "float32") -> str:
    """The name of what `unroll` runs.

    All that is fast is `rounds`, on any device, of any type and at any precision.

    Args:
        engine: one of `impls.contract.MODEL_ENGINES`.
        device: the type of the inputs' device, such as `cpu` or `cuda`.
        dtype: the inputs' floating type, such as `float32`.
        precision: one of `impls.contract.PRECISIONS`.
    """
    return "rounds" if engine == "fast" else engine
