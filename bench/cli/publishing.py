"""Publishing reports: one in this process, several side by side, each in a process that has imported what it needs."""

from __future__ import annotations

import gc
import io
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.start import printable
from bench.errors import UserError
from bench.launch.interrupts import requests_as_interrupts

if TYPE_CHECKING:
    from bench.plan.sweep import Sweep

# What every report imports, most of which is pandas, SciPy, seaborn and Matplotlib: several seconds.
NEEDED = ["bench.report.terminal", "bench.report.writing"]
# For how long a stopped process may clear away what it has begun.
CLEARING_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A report that is asked for: of which sweep, and the command line that its page tells."""

    sweep: Sweep
    command: str


def publish(sweep: Sweep, *, command: str, results: Path, reports: Path) -> None:
    """Writes the report of a sweep's trials, prints its table, what was left out, and the path of its page.

    `command` is the command line that the page tells.

    Raises `DiskError` where the disk takes no report; the one before it stays whole.
    """
    from rich.console import Console

    from bench.machine.disk import disk_explained
    from bench.report import print_results, write_report

    with disk_explained(reports / sweep.name):
        page = write_report(
            sweep.name,
            results=results,
            reports=reports,
            trials=sweep.trials,
            command=command,
            description=sweep.description,
        )
    print_results(sweep.name, results=results, console=Console(), trials=sweep.trials)
    for problem in files_left_out(sweep, results=results):
        print(f"left out: {printable(problem)}")
    print(f"\nreport: {page}")


def files_left_out(sweep: Sweep, *, results: Path) -> list[str]:
    """What is wrong with the files that a report reads beside the records: a line for each that it leaves out."""
    from bench.errors import SpeedError
    from bench.records.files import disagreement
    from bench.records.store import Store
    from bench.report.frames import check_examples
    from bench.report.speed.times import benchmarks_beside

    store, found = Store(results), []
    for trial_id, record in store.survey(trial.id for trial in sweep.trials).records.items():
        folder = store.folder_of(trial_id)
        found += [disagreement(folder / "curve.csv", record.files), check_examples(folder, record.files)]
    try:
        benchmarks_beside(results)
    except SpeedError as error:
        found.append(str(error))
    return [problem for problem in found if problem]


def publish_side_by_side(every: Sequence[Asked], *, results: Path, reports: Path, workers: int) -> None:
    """Publishes all of them, at most `workers` at a time; what each prints is printed as a whole when it has ended.

    One that is refused holds up none of the others. Raises `UserError` at the end with what was refused.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(NEEDED)
    # The longest first, so that none is begun when all others have ended.
    waiting = sorted(every, key=lambda asked: len(asked.sweep.trials))
    running: dict[Connection, tuple[Asked, BaseProcess]] = {}
    refused: list[str] = []
    with requests_as_interrupts(), _stopped_with_this_one(running):
        while waiting or running:
            while waiting and len(running) < workers:
                asked = waiting.pop()
                heard, told = context.Pipe(duplex=False)
                process: BaseProcess = context.Process(target=_publish_and_tell, args=(asked, results, reports, told))
                process.start()
                told.close()
                running[heard] = asked, process
            ended = wait(list(running))
            for heard in [one for one in running if one in ended]:
                printed, refusal = _answer(heard, *running.pop(heard))
                sys.stdout.write(printed)
                sys.stdout.flush()
                refused += [refusal] if refusal else []
    if refused:
        raise UserError("\n".join(refused))


def _publish_and_tell(asked: Asked, results: Path, reports: Path, told: Connection) -> None:
    """A process's work: what it prints and why it was refused, or nothing, is told at its end."""
    printed, refusal = io.StringIO(), ""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks answers it for all
    signal.signal(signal.SIGTERM, _stop)
    gc.disable()  # a tenth of the time, and the process ends with its report
    try:
        with redirect_stdout(printed):
            publish(asked.sweep, command=asked.command, results=results, reports=reports)
    except UserError as error:
        refusal = str(error)
    except KeyboardInterrupt:
        sys.exit(130)
    told.send((printed.getvalue(), refusal))


def _stop(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # clearing away is not to be interrupted
    raise KeyboardInterrupt


def _answer(heard: Connection, asked: Asked, process: BaseProcess) -> tuple[str, str]:
    try:
        answer: tuple[str, str] = heard.recv()
    except EOFError:
        process.join()
        code = process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
        answer = "", f"{asked.sweep.name}: the process that wrote this report {how}; for it alone: {asked.command}"
    process.join()
    heard.close()
    return answer


@contextmanager
def _stopped_with_this_one(running: dict[Connection, tuple[Asked, BaseProcess]]) -> Iterator[None]:
    """Whatever ends this process early ends the others, which clear their unfinished folders away."""
    try:
        yield
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join(CLEARING_SECONDS)
            process.kill()
