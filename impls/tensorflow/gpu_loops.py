"""Where XLA runs loops on a GPU."""

from __future__ import annotations

import os

XLA_VARIABLE, LOOPS_OPTION = "XLA_FLAGS", "--xla_gpu_enable_command_buffer="
LOOPS_ON_THE_GPU = f"{LOOPS_OPTION}+WHILE,+CONDITIONAL"


def keep_loops_on_the_gpu() -> None:
    """Has XLA make graphs of CUDA of loops whose end the numbers decide, unless the user chose what it makes them of.

    Else it asks the host after every round, and waits. XLA reads its options once, when it first compiles; without CUDA
    12.3 it goes on asking.
    """
    flags = os.environ.get(XLA_VARIABLE, "")
    a_file_of_options = bool(flags) and not flags.lstrip().startswith("-")
    if LOOPS_OPTION not in flags and not a_file_of_options:
        os.environ[XLA_VARIABLE] = f"{flags} {LOOPS_ON_THE_GPU}".strip()
