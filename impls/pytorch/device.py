"""What PyTorch sees on this machine, and how its threads are set."""

from __future__ import annotations

import importlib.metadata
import os

import torch

from impls.contract import DeviceReport
from impls.pytorch.engines.kernels import workers


def describe_device() -> DeviceReport:
    """PyTorch's version and usable CUDA devices; `problem` says why there are none."""
    devices: tuple[str, ...] = ()
    problem = ""
    if torch.version.cuda is None:
        problem = f"PyTorch {torch.__version__} was built without CUDA"
    elif not torch.cuda.is_available():
        problem = "PyTorch finds no usable CUDA device (driver missing, or no GPU)"
    else:
        devices = tuple(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    libraries = ""
    if torch.version.cuda is not None:
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        libraries = f"CUDA {torch.version.cuda}, cuDNN {cudnn}"
        # Its package has other names too.
        packages = importlib.metadata.packages_distributions().get("triton", [])
        libraries += "".join(f", Triton {importlib.metadata.version(name)}" for name in packages[:1])
    return DeviceReport(
        framework="pytorch",
        version=str(torch.__version__),
        cuda_devices=devices,
        problem=problem,
        libraries=libraries,
    )


def set_threads(threads: int) -> None:
    """Lets PyTorch use this many threads for its operators; 0 leaves its own default.

    They take denormal numbers as zero, as TensorFlow's do: on some processors a gradient that fades over hundreds of
    steps takes several times as long otherwise. Threads that PyTorch has started before keep what they had.
    """
    torch.set_flush_denormal(True)
    if threads:
        torch.set_num_threads(threads)


def begin_on(device: str) -> None:
    """Readies a device for a learner: memory is taken as it is needed, and its peak counts from now."""
    if device == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes(device: str) -> int | None:
    """The largest memory that was allocated on the GPU since `begin_on`; None on the CPU."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else None


def threads_in_use() -> int:
    """The number of threads that an operator may use."""
    return torch.get_num_threads()


def start_threads_in_forks() -> None:
    """Lets processes that are forked from this one use OpenMP's threads, which this process must not have started."""
    os.register_at_fork(after_in_child=workers.begin_process)
