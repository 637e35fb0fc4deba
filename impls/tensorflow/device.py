"""What TensorFlow sees on this machine, and how its threads are set."""

from __future__ import annotations

import os
from contextlib import suppress

import tensorflow as tf

from impls.contract import DeviceReport
from impls.tensorflow.gpu_loops import keep_loops_on_the_gpu


def describe_device() -> DeviceReport:
    """TensorFlow's version and usable CUDA devices; `problem` says why there are none."""
    devices: tuple[str, ...] = ()
    problem = ""
    if not tf.test.is_built_with_cuda():
        problem = f"TensorFlow {tf.__version__} was built without CUDA"
    else:
        gpus = tf.config.list_physical_devices("GPU")
        names = (tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)
        devices = tuple(names)
        if not devices:
            problem = "TensorFlow finds no usable CUDA device (no GPU, no driver or CUDA libraries: extra `gpu`)"
    built = tf.sysconfig.get_build_info()
    libraries = ", ".join(
        f"{name} {built[key]}" for name, key in (("CUDA", "cuda_version"), ("cuDNN", "cudnn_version")) if key in built
    )
    return DeviceReport(
        framework="tensorflow",
        version=str(tf.__version__),
        cuda_devices=devices,
        problem=problem,
        libraries=libraries,
    )


def set_threads(threads: int) -> None:
    """Lets TensorFlow use this many threads for its operators; 0 leaves its own default.

    TensorFlow fixes its threads when it first computes; a later call raises RuntimeError.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def begin_on(device: str) -> None:
    """Readies a device for a learner: memory is taken as it is needed, and its peak counts from now.

    A process on the CPU leaves the GPU's memory alone too, of which TensorFlow otherwise takes all when it first
    computes; once it has, nothing of that can be changed. On a GPU XLA is told to keep loops there
    (`keep_loops_on_the_gpu`).
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):  # it has computed
            tf.config.experimental.set_memory_growth(gpu, True)
    if device == "cuda":
        keep_loops_on_the_gpu()
        tf.config.experimental.reset_memory_stats("GPU:0")


def peak_memory_bytes(device: str) -> int | None:
    """The largest memory that was allocated on the GPU since `begin_on`; None on the CPU."""
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"]) if device == "cuda" else None


def threads_in_use() -> int:
    """The number of threads that an operator may use."""
    return tf.config.threading.get_intra_op_parallelism_threads() or len(os.sched_getaffinity(0))


def start_threads_in_forks() -> None:
    """Nothing to do: TensorFlow starts its threads when it first computes, which this process must not have done."""
