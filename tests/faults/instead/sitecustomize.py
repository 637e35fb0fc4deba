"""Python reads this as it starts where this folder is in PYTHONPATH: trials then learn nothing, and nobody is patient.

Everything else of the program is what it is: a trial's command, the worker that started it, the run that sent it.
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

FAKE = Path(__file__).resolve().parents[1] / "fake_training.py"
CHANGED = {
    "bench.launch.cluster.node": {"CARRY_SECONDS": 0.5},
    "bench.launch.cluster.ray_connection": {"HEAD_SECONDS": 5.0},
    "impls.contract": {"import_learner": lambda framework: None},
}


class Instead(MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname == "bench.train.training":
            return spec_from_file_location(fullname, FAKE)
        if fullname not in CHANGED:
            return None
        spec = PathFinder.find_spec(fullname, path)  # type: ignore[arg-type]
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def changed(module: ModuleType) -> None:
            execute(module)
            vars(module).update(CHANGED[fullname])

        spec.loader.exec_module = changed  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Instead())
if "SKIPRNN_SLOW_DISK" in os.environ:  # Python reads one file of this name
    runpy.run_path(str(FAKE.parent / "slow_disk" / "sitecustomize.py"))
