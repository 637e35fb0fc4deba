"""What an engine runs: which of its implementations, by where tensors lie and of what type they are."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import warnings

import torch

_KERNEL_DTYPES = ("float32", "float64")
_TILE_DTYPES = ("float32", "float64")
_FROM_THE_DEVICE = (torch.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.OutOfMemoryError))
_TILE_CAPABILITY = (8, 0)  # that of the first cards whose tensor cores keep float32 in three products


def implementation_of(engine: str, *, device: str, dtype: str, precision: str = "float32") -> str:
    """The name of what `unroll` runs.

    Of what is fast, `kernels` read float32 and float64 in the CPU's memory and multiply in them; `tiles` read the same
    on a CUDA device where Triton is installed and can build kernels, and multiply at any precision; everything else is
    `operations`.

    Args:
        engine: one of `impls.contract.MODEL_ENGINES`.
        device: the inputs' device, such as `cpu`, `cpu:0`, `cuda:1`, or `cuda` for the current one.
        dtype: the inputs' floating type, such as `float32`.
        precision: one of `impls.contract.PRECISIONS`.
    """
    if engine != "fast":
        return engine
    kind = device.partition(":")[0]
    if kind == "cpu" and dtype in _KERNEL_DTYPES and precision == "float32":
        return "kernels"
    if kind == "cuda" and dtype in _TILE_DTYPES and _has_tiles(device):
        return "tiles"
    return "operations"


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _has_tiles(device: str) -> bool:
    """Whether Triton is here, and the CUDA device is one that the kernels are written for."""
    return (
        importlib.util.find_spec("triton") is not None
        and torch.version.cuda is not None
        and torch.cuda.is_available()
        and torch.cuda.get_device_capability(device) >= _TILE_CAPABILITY
        and _builds(device)
    )


@functools.cache
def _builds(device: str) -> bool:
    """Whether Triton builds a kernel for the CUDA device, which is tried once; warns where it does not.

    A GPU without memory left is no answer, and raises.
    """
    from impls.pytorch.engines.tiles.probe import build_a_kernel

    try:
        build_a_kernel(device)
    except (RuntimeError, ImportError, OSError, AssertionError, subprocess.SubprocessError) as error:
        if isinstance(error, _FROM_THE_DEVICE) or "out of memory" in str(error).lower():
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        warnings.warn(
            f"Triton cannot build kernels for {device}, so the fast engine computes every step there and skips save no "
            f"time: {reason}. It wants a C compiler and Python's header files (gcc, python3-dev).",
            stacklevel=2,
        )
        return False
    return True
