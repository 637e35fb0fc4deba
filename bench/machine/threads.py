"""What libraries read when first loaded: their threads, the order of sums, how threads wait, how GPUs are counted."""

from __future__ import annotations

import os

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
# The order that does not follow the number of threads.
ORDER_VARIABLE, FIXED_ORDER = "MKL_CBWR", "AUTO,STRICT"
# OpenMP's threads wait for each other asleep. By default GNU's turn for milliseconds on a core that others may need,
# the very thread waited for included: beside other load a step on two threads took ten times as long.
WAIT_VARIABLE, ASLEEP = "OMP_WAIT_POLICY", "PASSIVE"
# GPUs are counted as `nvidia-smi` does, which tells their names.
COUNT_VARIABLE, BY_BUS = "CUDA_DEVICE_ORDER", "PCI_BUS_ID"


def library_variables(threads: int) -> dict[str, str]:
    """The variables of a process whose libraries use this many threads; what the user has set of the others stays."""
    of_threads = dict.fromkeys(THREAD_VARIABLES, str(threads))
    told = {ORDER_VARIABLE: FIXED_ORDER, WAIT_VARIABLE: ASLEEP, COUNT_VARIABLE: BY_BUS}
    return of_threads | {name: os.environ.get(name, value) for name, value in told.items()}
