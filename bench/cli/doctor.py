"""`doctor`: what this machine has: versions, devices, data sets."""

from __future__ import annotations

import typer

from bench.cli.options import DATA, DataOption


def doctor(data: DataOption = DATA) -> None:
    """Show versions, devices, and which data sets are present."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench.machine import devices
    from bench.machine.environment import environment
    from bench.tasks import build_task, task_classes
    from impls.contract import FRAMEWORKS

    facts = environment(threads=0)
    table = Table(box=None, pad_edge=False, show_header=False)

    def show(name: str, found: str) -> None:
        table.add_row(Text(name), Text(found))

    show("machine", f"{facts['processor']}, {facts['cores']} cores, {facts['memory_bytes'] / 2**30:.0f} GiB")
    show("system", f"{facts['system']}, Python {facts['python']}")
    for package, version in facts["packages"].items():
        show(package, str(version))
    usable = 0
    for framework in FRAMEWORKS:
        found = devices.describe(framework)
        usable += bool(found.version)
        gpus = ", ".join(found.cuda_devices) or f"no GPU: {found.problem}"
        show(framework, f"cpu; {gpus}" if found.version else found.problem)
    for name in task_classes():
        task = build_task(name, {}, data=data)
        download = f"not here yet; the first sweep that needs it downloads {task.download_told()}"
        show(f"data: {name}", task.data_problem() or (download if task.downloads() else "present"))
    Console().print(table, highlight=False)
    raise typer.Exit(0 if usable else 1)
