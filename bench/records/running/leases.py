"""Leases: who runs a trial, so that several sweeps on one results folder share the work.

    results/leases/<trial id>/<n>.json

The file with the highest number is the lease; to take over is to create the next number, which one process alone can
do, on a shared disk too. A lease is held while its process lives (same machine) or its file is touched (any other).
A file once created is written by its holder alone, so that nothing is ever taken from somebody by mistake.

Clocks of machines differ, and some disks date a file by the clock of whoever writes it. So what counts is not a file's
date but that it changes: whoever waits for a lease of another machine watches it by a clock of its own.
"""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import DiskError, LeaseError
from bench.machine.disk import disk_explained, write_atomically
from bench.machine.processes import machine_name, process_start

LEASES = "leases"
# What a disk answers that has no second names of files.
WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
# All runs on a results folder must agree on it: who beats more slowly than others wait is taken for gone.
VARIABLE = "SKIPRNN_GONE_SECONDS"


def gone_seconds(told: str | None) -> float:
    """After how long of watching without a change a holder on another machine counts as gone.

    Disks that are shared show a change late, so that five minutes are not much. Raises `LeaseError` for what is no
    number of seconds, from 1 to a day.

    Args:
        told: what the environment says; None leaves the usual.
    """
    if told is None:
        return 300.0
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 1.0 <= seconds <= 86_400.0:
        raise LeaseError(f"{VARIABLE}={told}: not a number of seconds from 1 to 86400; unset it, which is 300")
    return seconds


GONE_SECONDS = gone_seconds(os.environ.get(VARIABLE))
# How often a holder touches its lease.
HEARTBEAT_SECONDS = GONE_SECONDS / 20


class Holder(BaseModel):
    """Who holds a lease: a process of a machine, told from a later one with its number by when it was started.

    The token tells this lease from every other, since numbers start again once a trial is finished.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    process_id: int
    process_start: int
    token: str = ""
    released: bool = False

    @classmethod
    def this_process(cls, *, token: str) -> Holder:
        """The process that asks."""
        start = process_start(os.getpid())
        assert start is not None
        return cls(machine=machine_name(), process_id=os.getpid(), process_start=start, token=token)


class Watch:
    """What a process has seen of the leases of other machines: since when each did not change, by its own clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, tuple[int, float]] = {}

    def quiet_seconds(self, path: Path) -> float:
        """For how long a file was not seen to change; 0 at the first look. Raises `FileNotFoundError`."""
        date, now = path.stat().st_mtime_ns, self._clock()
        if path not in self._seen or self._seen[path][0] != date:
            self._seen[path] = (date, now)
        return now - self._seen[path][1]


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to run a trial, for as long as no one has taken it over."""

    folder: Path
    number: int
    token: str

    @property
    def trial_id(self) -> str:
        """The trial that it is on."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / f"{self.number}.json"

    def held(self) -> bool:
        """Whether it still stands: its file is there, and no higher number is."""
        if _highest(self.folder) != self.number:
            return False
        holder = read_holder(self.path)
        return holder is not None and holder.token == self.token and not holder.released

    def beat(self) -> None:
        """Shows that the holder lives. Raises `LeaseError` where the lease is gone, `DiskError` where the disk is."""
        with disk_explained(self.path):
            if not self.held():
                raise LeaseError(f"{self.path}: the lease on trial {self.trial_id} is gone")
            os.utime(self.path)

    def release(self, *, finished: bool) -> None:
        """Gives the trial to whoever wants it. The lease of a finished trial leaves nothing behind.

        A disk that is read-only or gone keeps the lease as it stands: it is free when this process has ended.
        """
        if not self.held():
            return
        if finished:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        text = Holder.this_process(token=self.token).model_copy(update={"released": True}).model_dump_json()
        try:  # behind a rename: whoever reads meanwhile finds one holder or the other
            write_atomically(self.path, lambda temporary: _write_text(temporary, text))
        except DiskError:
            # A full disk has room where the file is. What is wrong is told by whoever had something to keep there.
            with suppress(OSError):
                self._overwrite(text)

    def _overwrite(self, text: str) -> None:
        """Writes over the file in one piece, to its old length: JSON may end in spaces."""
        handle = os.open(self.path, os.O_WRONLY)
        try:
            os.write(handle, text.ljust(os.fstat(handle).st_size).encode())
        finally:
            os.close(handle)


def take_lease(results: Path, trial_id: str, *, watch: Watch | None = None) -> Lease | None:
    """A lease on a trial for this process; None where somebody holds one.

    Args:
        results: the folder of all records.
        trial_id: of which trial.
        watch: what was seen of the leases of other machines. None has seen nothing, and takes none of them over.

    Raises `DiskError` where the disk takes no lease.
    """
    folder = results / LEASES / trial_id
    watch = Watch() if watch is None else watch
    with disk_explained(folder):
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            current = _highest(folder)
            if current is not None and not is_gone(folder / f"{current}.json", watch=watch):
                return None
            lease = Lease(folder=folder, number=1 if current is None else current + 1, token=secrets.token_hex(8))
            try:
                _create(lease)
            except FileExistsError:  # somebody was faster, unless the answer to this one's own link was lost
                return lease if lease.held() else None
            except FileNotFoundError:
                continue  # its trial was finished, and the folder removed, meanwhile
            if lease.held():
                return lease


def _create(lease: Lease) -> None:
    """Writes a lease's file, which must not be there, as a whole: half of one would keep everybody away for a while."""
    whole = lease.folder / f".{lease.token}"
    try:
        _write_new(whole, Holder.this_process(token=lease.token).model_dump_json())
        try:
            os.link(whole, lease.path)
        except OSError as error:
            if error.errno not in WITHOUT_LINKS:
                raise
            _write_new(lease.path, whole.read_text(encoding="utf-8"))
    finally:
        whole.unlink(missing_ok=True)


def _write_new(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def leased_trials(results: Path) -> dict[str, Path]:
    """The lease file of every trial that has one which was not released, by trial id."""
    leases = results / LEASES
    found = {}
    for folder in sorted(leases.iterdir()) if leases.is_dir() else ():
        current = _highest(folder)
        if current is not None and not is_released(folder / f"{current}.json"):
            found[folder.name] = folder / f"{current}.json"
    return found


def is_released(path: Path) -> bool:
    """Whether the holder gave a lease back."""
    holder = read_holder(path)
    return holder is not None and holder.released


def is_gone(path: Path, *, watch: Watch) -> bool:
    """Whether the holder of a lease gave it back, ended, or was not heard of for too long."""
    holder = read_holder(path)
    if holder is not None and holder.released:
        return True
    if holder is not None and holder.machine == machine_name():
        return process_start(holder.process_id) != holder.process_start
    try:  # of another machine, or cut off while it was written
        return watch.quiet_seconds(path) > GONE_SECONDS
    except FileNotFoundError:
        return True


def read_holder(path: Path) -> Holder | None:
    """Who holds a lease, by its file; None where the file is gone, or was cut off while it was written."""
    try:
        return Holder.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _highest(folder: Path) -> int | None:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):  # a desktop leaves files of its own anywhere
        return None
    numbers = [int(name.removesuffix(".json")) for name in names if name.removesuffix(".json").isdecimal()]
    return max(numbers, default=None)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
