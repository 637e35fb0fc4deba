"""What a user has set in the environment that changes what the frameworks and their libraries compute, or how fast."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from bench.machine.gpus import gpu_variables
from bench.machine.graphics import VISIBLE
from bench.machine.text import encodable
from bench.machine.threads import ASLEEP, FIXED_ORDER, ORDER_VARIABLE, THREAD_VARIABLES, WAIT_VARIABLE

READ = re.compile(
    r"(ATEN|CUBLAS|CUBLASLT|CUDA|CUDNN|DNNL|GOMP|KMP|MALLOC|MKL|NUMBA|OMP|ONEDNN|OPENBLAS|PYTORCH|TORCH|TORCHINDUCTOR"
    r"|TRITON|XLA)_[A-Z0-9_]+"
    # Others use TF_ too: Terraform keeps its secrets in TF_VAR_….
    r"|TF_(AUTOTUNE|CUDNN|DETERMINISTIC|DISABLE|ENABLE|FORCE|GPU|INTEROP|INTRAOP|NUM|ONEDNN|USE|XLA)_[A-Z0-9_]+"
    r"|NVIDIA_TF32_OVERRIDE|LD_PRELOAD"
)
# Where things lie and what is printed changes no number; what is secret stays so.
UNTOLD = re.compile(r"\w*_(CACHE|DIR|HOME|KEY|LOGS?|PASSWORD|PATH|ROOT|SECRET|TOKEN|VERBOSE)(_\w+)?")
# Where TensorFlow keeps compiled programs changes no number either.
PROGRAMS_VARIABLE, PROGRAMS_OPTION = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory="
# What `impls.tensorflow` has XLA do on a GPU wherever the user has not said otherwise.
LOOPS_ON_THE_GPU = "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"
# A record tells of these by other names.
TOLD_ELSEWHERE = {*THREAD_VARIABLES, VISIBLE}
# What this harness sets, and what threadpoolctl and scikit-learn do once they are imported.
OURS = gpu_variables(None) | {
    ORDER_VARIABLE: FIXED_ORDER,
    WAIT_VARIABLE: ASLEEP,
    "KMP_DUPLICATE_LIB_OK": "True",
    "KMP_INIT_AT_FORK": "FALSE",
}


def library_settings(variables: Mapping[str, str] = os.environ) -> str:
    """By name, such as `TF_ENABLE_ONEDNN_OPTS=0; XLA_FLAGS=--xla_cpu_enable_fast_math=true`; empty where none is set.

    What the harness sets itself is left out, unless the user chose another value.
    """
    told = {
        name: " ".join(
            word for word in value.split() if not word.startswith(PROGRAMS_OPTION) and word != LOOPS_ON_THE_GPU
        )
        for name, value in variables.items()
        if READ.fullmatch(name) and not UNTOLD.fullmatch(name) and name not in TOLD_ELSEWHERE
    }
    settings = [f"{name}={value}" for name, value in sorted(told.items()) if value and OURS.get(name) != value]
    return encodable("; ".join(settings))
