"""What each kernel takes of a multiprocessor: `python -m impls.pytorch.engines.tiles.resources`; no GPU is needed.

Kernels are compiled ahead of time for the compute capabilities 8.0 and 9.0, and NVIDIA's assembler, which comes with
Triton, tells registers and bytes that it spills.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from impls.contract import PRECISIONS, CellSpec
from impls.pytorch.engines.tiles.backward import backward_kernel
from impls.pytorch.engines.tiles.constants import LAUNCH, constants_for, constants_of
from impls.pytorch.engines.tiles.forward import forward_kernel
from impls.pytorch.engines.tiles.runs import runs_kernel
from impls.pytorch.engines.tiles.skips import skips_kernel
from impls.pytorch.engines.tiles.tile_sizes import LEAST_SHARED

CAPABILITIES = (80, 90)
# Bytes of shared memory that a program may have, by compute capability.
SHARED = {80: 163 * 1024, 86: LEAST_SHARED, 89: LEAST_SHARED, 90: 227 * 1024}
MOST_SHARED = LEAST_SHARED
UNITS = (110, 128, 256)
CELLS = ("lstm", "gru", "skip_lstm", "skip_gru")
KERNELS = {"forward": forward_kernel, "skips": skips_kernel, "runs": runs_kernel, "backward": backward_kernel}
_INTEGERS = {"lengths": "*i64", "before": "*i64", "following": "*i64", "last": "*i32"}
_MATRICES = ("weights", "weights_turned")
_SIZES = ("batch", "steps", "h_batch", "h_time", "h_unit")


class Resources(NamedTuple):
    """Of one compiled kernel.

    Attributes:
        registers: of a thread.
        spilled: bytes that a thread spills.
        shared: bytes of shared memory a program.
        streamed: copies that pass the multiprocessor's own cache by, from L2 to shared memory.
    """

    registers: int
    spilled: int
    shared: int
    streamed: int


def kernels_of(spec: CellSpec) -> list[str]:
    """The names of the kernels that training a cell runs."""
    return list(KERNELS) if spec.skips else ["forward", "backward"]


def resources_of(name: str, spec: CellSpec, *, capability: int, **asked: Any) -> Resources:
    """Compiles one kernel of a cell; `capability` is 80 for 8.0.

    `asked` are arguments of `constants_of`; what is left out is as training with h at every step has it.
    """
    kernel = KERNELS[name]
    training = {"drawn": False, "keep": True, "every_step": True, "of_h": True, "of_gates": spec.skips}
    told: dict[str, Any] = {"dtype": torch.float32, "shared": SHARED[capability]}
    constants = constants_for(kernel, constants_of(spec, **told | training | asked))
    launch = {name: constants.pop(name) for name in LAUNCH}
    numbers = "*fp64" if asked.get("dtype") == torch.float64 else "*fp32"
    of_matrices = "*bf16" if numbers == "*fp32" and spec.precision == "bfloat16" else numbers
    signature, compiled_in, aligned = {}, {}, {}
    for place, parameter in enumerate(kernel.params):
        if parameter.is_constexpr:
            signature[parameter.name], compiled_in[parameter.name] = "constexpr", constants[parameter.name]
        elif parameter.name in _SIZES:
            signature[parameter.name] = "i32"
        else:
            pointed_at = of_matrices if parameter.name in _MATRICES else numbers
            signature[parameter.name] = _INTEGERS.get(parameter.name, pointed_at)
            aligned[(place,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, compiled_in, aligned)
    built = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=launch)
    registers, spilled = _assembled(built.asm["ptx"], capability)
    return Resources(registers, spilled, built.metadata.shared, built.asm["ptx"].count("cp.async.cg"))


def _assembled(ptx: str, capability: int) -> tuple[int, int]:
    """Registers and spilled bytes of a program, as the assembler tells them."""
    program: Any = get_ptxas(capability)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx)
        target = re.search(r"^\.target (sm_\w+)", ptx, re.MULTILINE)
        assert target is not None
        command = [program.path, "-v", f"--gpu-name={target[1]}", str(source), "-o", str(source.with_suffix(".cubin"))]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = re.search(r"Used (\d+) registers", told)
    spilled = re.search(r"(\d+) bytes spill stores", told)
    assert registers is not None
    assert spilled is not None
    return int(registers[1]), int(spilled[1])


def lines() -> Iterator[str]:
    """The table of all kernels, in Markdown, a line at a time."""
    yield f"| cell | units | kernel | registers: {' | '.join(PRECISIONS)} | spilled bytes | shared memory, KB |"
    yield "| --- | --- | --- " + "| --- " * len(PRECISIONS) + "| --- | --- |"
    for cell in CELLS:
        for units in UNITS:
            for name in kernels_of(CellSpec(cell=cell, input_size=2, units=(units,))):
                told: list[str] = []
                all_found: list[Resources] = []
                for precision in PRECISIONS:
                    spec = CellSpec(cell=cell, input_size=2, units=(units,), precision=precision)
                    found = [resources_of(name, spec, capability=capability) for capability in CAPABILITIES]
                    told.append(" / ".join(str(each.registers) for each in found))
                    all_found += found
                spilled = sum(each.spilled for each in all_found)
                shared = max(each.shared for each in all_found)
                yield f"| `{cell}` | {units} | {name} | {' | '.join(told)} | {spilled} | {shared / 1024:.0f} |"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
