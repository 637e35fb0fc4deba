"""`trial`: runs the one trial of a folder; what a queue, a cluster or another machine is told to do."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DATA, DataOption
from bench.cli.start import command_line

# Seconds that a trial is given to end in order once nobody attends to it any more.
GRACE_SECONDS = 60.0
# Seconds between requests to end: what one raises inside of a library's callback may be dropped there.
AGAIN_SECONDS = 10.0


def trial(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Holds trial.json; all that it leaves goes there.")],
    data: DataOption = DATA,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the framework; else as many as there are cores for this process.")
    ] = None,
    attended: Annotated[
        bool, typer.Option("--attended", help="End when standard input is closed, which whoever started it holds open.")
    ] = False,
) -> None:
    """Run the trial that FOLDER/trial.json asks for, and leave its record there.

    It beats once a second in FOLDER/heartbeat.json. Stopped (Ctrl-C, SIGTERM) and started again it goes on from its
    last checkpoint; finished, it is not run again. The exit code is 0 where the trial ended well, 1 where it failed or
    diverged, 2 where it was refused or the disk took no more, 143 where it was stopped.
    """
    cores = threads or len(os.sched_getaffinity(0))
    from bench.machine.threads import library_variables

    os.environ.update(library_variables(cores))  # before anything loads the libraries that read them
    if attended:
        threading.Thread(target=_end_with_standard_input, daemon=True).start()
    from bench.launch.process.alone import run_alone

    code, words = run_alone(folder, data=data, threads=cores, command=command_line())
    print(words)
    raise typer.Exit(code)


def _end_with_standard_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(AGAIN_SECONDS)
    os._exit(1)
