"""Whether Triton can build a kernel here: beside a GPU it wants a C compiler, and the header files of Python."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def add_one_kernel(target):
    """Adds 1 to the first element."""
    tl.store(target, tl.load(target) + 1.0)


def build_a_kernel(device: str) -> None:
    """Builds one and runs it on the CUDA device; raises whatever Triton does where it cannot."""
    target = torch.zeros(1, device=device)
    with torch.cuda.device_of(target):
        add_one_kernel[(1,)](target)
    if target.item() != 1.0:
        raise RuntimeError(f"a kernel of Triton on {device} did not write what it should")
