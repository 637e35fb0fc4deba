"""Both frameworks in one process, as a comparison needs them.

TensorFlow shares its libraries' symbols with all that is loaded after it, LLVM's among them. PyTorch's compiler loads
Triton, whose LLVM would find those in place of its own and end the process: "CommandLine Error: Option … registered
more than once".
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from contextlib import suppress


def keep_compilers_apart(*, other: str) -> None:
    """Loads Triton so that it sees its own symbols first, where it is installed and the other framework is here.

    Each framework's package calls it before it imports its framework: whichever comes second does it. Nothing else
    loads Triton for it, so that a process with one framework alone is as it was.

    Args:
        other: the module of the other framework.
    """
    if other not in sys.modules or "triton" in sys.modules or not hasattr(os, "RTLD_DEEPBIND"):
        return
    if importlib.util.find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        with suppress(ImportError):  # PyTorch does without one that cannot be loaded
            importlib.import_module("triton")
    finally:
        sys.setdlopenflags(flags)
