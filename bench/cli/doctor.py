"""What this machine has: versions, devices, data sets."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.machine import devices
from bench.machine.environment import environment
from bench.tasks import TASKS, build_task
from impls.contract import FRAMEWORKS


def examine(*, data: Path) -> int:
    """Prints what was found; returns 0, or 1 where no framework can be used."""
    facts = environment(threads=0)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("machine", f"{facts['processor']}, {facts['cores']} cores, {facts['memory_bytes'] / 2**30:.0f} GiB")
    table.add_row("system", f"{facts['system']}, Python {facts['python']}")
    for package, version in facts["packages"].items():
        table.add_row(package, version)
    usable = 0
    for framework in FRAMEWORKS:
        report = devices.describe(framework)
        usable += bool(report.version)
        gpus = ", ".join(report.cuda_devices) or f"no GPU: {report.problem}"
        table.add_row(f"{framework}", f"cpu; {gpus}" if report.version else report.problem)
    for name in TASKS:
        task = build_task(name, {}, data=data)
        present = "not here yet; downloaded by the first sweep that needs it" if task.downloads() else "present"
        table.add_row(f"data: {name}", task.data_problem() or present)
    Console().print(table, highlight=False)
    return 0 if usable else 1
