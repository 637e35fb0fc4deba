"""Runs a trial so that it leaves a record whatever becomes of it, in a forked process or as a command of its own."""

from __future__ import annotations

import os
import re
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Protocol

from bench.errors import DiskError, LeaseError
from bench.launch.process.heard import DiskTrouble, Message
from bench.machine.disk import TROUBLES, disk_trouble, slow_answers_told
from bench.plan.trial import Trial
from bench.records.running.attempt import Attempt
from bench.records.running.lone_folder import LoneFolder
from bench.train.progress import Life

LOG = "log.txt"
# PyTorch's and TensorFlow's errors of a GPU whose memory is used up.
OUT_OF_MEMORY = ("OutOfMemoryError", "ResourceExhaustedError")
# Other errors say it in their text alone: of PyTorch on a CPU; of CUDA's calls and libraries through PyTorch, Triton
# and TensorFlow; of XLA. A kernel that asks for more than any card of its kind has says otherwise, and never fits.
SAID_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory"
    r"|CUDA error: out of memory|Triton Error \[CUDA\]: out of memory|\bCUDA_ERROR_OUT_OF_MEMORY\b"
    r"|\b(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED\b"
    r"|\bCUDNN_STATUS_INTERNAL_ERROR_(HOST|DEVICE)_ALLOCATION_FAILED\b"
    r"|\bRESOURCE_EXHAUSTED\b|Out of memory while trying to allocate \d"
)
# Exit codes: a record of a trial that ended by itself, one of a failure or none, and a trial that was stopped.
ENDED, FAILED, STOPPED = 0, 1, 128 + signal.SIGTERM


class StoppedError(BaseException):
    """Whoever started the process asked it to end."""


class Watcher(Protocol):
    """Who is told how far a trial is."""

    def tell(self, message: Message) -> None:
        """Takes a message in."""


def run_recorded(
    trial: Trial,
    *,
    store: Attempt | LoneFolder,
    watcher: Watcher,
    data: Path,
    threads: int,
    started: float | None = None,
    import_seconds: float | None = None,
    printed: str = "",
    prepare: Callable[[], None] = lambda: None,
) -> int:
    """Runs one trial to its record; whatever is raised becomes a record of status `failed`. Returns the exit code.

    Everything that the frameworks print goes to `log.txt` in the trial's folder. Asked to end (SIGTERM), or without
    its lease, the trial ends without a record. So it does where the disk takes no files: that is no failure of the
    trial, and the watcher is told. Once there is nothing left but to write the record, SIGTERM is ignored: from then on
    the process ends by itself, and what it says of the trial is what the record says.

    Args:
        trial: what to run.
        store: where it writes.
        watcher: is told how far it is.
        data: the folder of data sets.
        threads: of the framework.
        started: `time.perf_counter()` when the process began.
        import_seconds, printed: what the import of the framework took and printed, before the process was forked.
        prepare: has the data ready; what it raises is recorded too.
    """
    started = time.perf_counter() if started is None else started
    signal.signal(signal.SIGTERM, _stop)
    known: dict[str, Mapping[str, str]] = {}
    last = Life(computing=True)

    def lives(life: Life) -> None:
        nonlocal last
        if life.conditions is not None:
            known["conditions"] = life.conditions
        last = replace(life, slow_answers=last.slow_answers)
        watcher.tell(last)

    def disk_answered() -> None:
        nonlocal last
        last = replace(last, slow_answers=last.slow_answers + 1)
        watcher.tell(last)

    try:
        _redirect_output(store.running / LOG)
        print(printed, end="", flush=True)
        with slow_answers_told(disk_answered):
            prepare()
            # Imported here so that an import that fails is recorded like any other failure.
            from bench.train.training import run_trial

            with _programs_kept(trial, threads=threads):
                run_trial(
                    trial,
                    store=store,
                    data=data,
                    threads=threads,
                    report=watcher.tell,
                    alive=lives,
                    ends=_ignore_requests,
                    started=started,
                    import_seconds=import_seconds,
                )
    except StoppedError:
        _ignore_requests()  # asked again, it would not end in order
        return STOPPED
    except LeaseError:
        _ignore_requests()
        return FAILED
    except BaseException as error:
        _ignore_requests()
        trouble = _disk_trouble(error, store)
        if trouble is None:
            trouble = _record_failure(error, trial=trial, store=store, data=data, conditions=known.get("conditions"))
        if trouble is not None and store.held():  # else another run has taken the trial over, with its folder
            watcher.tell(DiskTrouble(str(trouble)))
        return FAILED
    return ENDED


def _programs_kept(trial: Trial, *, threads: int) -> AbstractContextManager[None]:
    """Of TensorFlow on a CPU; what it compiles for a card is not kept."""
    if trial.framework != "tensorflow" or trial.device != "cpu":
        return nullcontext()
    from bench.machine.kept_programs import programs_kept

    return programs_kept(trial.model_copy(update={"seed": 0}).id, threads=threads)


def _disk_trouble(error: BaseException, store: Attempt | LoneFolder) -> DiskError | None:
    """What an error says of the disk, itself or as the reason of another; None where nothing."""
    log = store.running / LOG
    while True:
        if isinstance(error, DiskError):
            return error
        if isinstance(error, OSError):
            named = isinstance(error.filename, str) and error.errno in TROUBLES
            told = disk_trouble(error, path=Path(error.filename) if named else log)
            if told is not None:
                return told
        reason = error.__cause__ or error.__context__
        if reason is None:
            return None
        error = reason


def _record_failure(
    error: BaseException,
    *,
    trial: Trial,
    store: Attempt | LoneFolder,
    data: Path,
    conditions: Mapping[str, str] | None,
) -> DiskError | None:
    """Writes the record of a failure; returns what is wrong with the disk where it does not take one."""
    from bench.records.record import failure

    said = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    printed = "".join(traceback.format_exception(error))
    try:
        from bench.train.unfinished import unfinished

        record = unfinished(
            trial,
            folder=store.running,
            conditions=conditions,
            status="failed",
            error=said,
            traceback=printed,
            data=data,
        )
    except Exception:  # what it needs may be what failed, however that shows; the log tells
        traceback.print_exc()
        record = failure(trial, status="failed", error=said, traceback=printed, data=data)
    try:
        if is_out_of_memory(error):
            store.close("out_of_memory", said)
        store.write(record)
    except LeaseError:  # another run has it
        return None
    except DiskError as trouble:
        return trouble
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or the reason of it, says that the machine or its GPU had no memory left."""
    while True:
        # By their names, since the frameworks are not imported here.
        if (
            isinstance(error, MemoryError)
            or type(error).__name__ in OUT_OF_MEMORY
            or SAID_OUT_OF_MEMORY.search(str(error))
        ):
            return True
        reason = error.__cause__ or error.__context__
        if reason is None:
            return False
        error = reason


def _stop(signum: int, frame: FrameType | None) -> None:
    """Ends the trial in order, so that it closes its files and gives back its semaphores."""
    raise StoppedError


def _ignore_requests() -> None:
    """The trial ends; whoever asks it to is not answered any more."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _redirect_output(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
