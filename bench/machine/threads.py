"""How math libraries are told their threads and their order of sums: by variables that they read when first loaded."""

from __future__ import annotations

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
# The order that does not follow the number of threads.
ORDER_VARIABLE, FIXED_ORDER = "MKL_CBWR", "AUTO,STRICT"
