"""Leases: who runs a trial, so that several sweeps on one results folder share the work.

    results/leases/<trial id>/<n>.json

The file with the highest number is the lease; to take over is to create the next number, which one process alone can
do, on a shared disk too. A lease is held while its process lives (same machine) or its file is touched (any other).
A file once created is written by its holder alone, so that nothing is ever taken from somebody by mistake.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import LeaseError
from bench.machine.processes import machine_name, process_start

LEASES = "leases"
# How often a holder touches its lease, and after how long without it a holder on another machine counts as gone. Disks
# that are shared show a change late.
HEARTBEAT_SECONDS = 15.0
GONE_SECONDS = 300.0


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
        holder = _holder(self.path)
        return holder is not None and holder.token == self.token and not holder.released

    def beat(self) -> None:
        """Shows that the holder lives. Raises `LeaseError` where the lease is gone."""
        if not self.held():
            raise LeaseError(f"{self.path}: the lease on trial {self.trial_id} is gone")
        os.utime(self.path)

    def release(self, *, finished: bool) -> None:
        """Gives the trial to whoever wants it. The lease of a finished trial leaves nothing behind."""
        if not self.held():
            return
        if finished:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        holder = Holder.this_process(token=self.token).model_copy(update={"released": True})
        # Behind a rename: whoever reads meanwhile finds one holder or the other.
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=".released-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(holder.model_dump_json())
        os.replace(name, self.path)


def take_lease(results: Path, trial_id: str) -> Lease | None:
    """A lease on a trial for this process; None where somebody holds one."""
    folder = results / LEASES / trial_id
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        current = _highest(folder)
        if current is not None and not is_gone(folder / f"{current}.json"):
            return None
        lease = Lease(folder=folder, number=1 if current is None else current + 1, token=secrets.token_hex(8))
        try:
            handle = os.open(lease.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return None  # somebody was faster
        except FileNotFoundError:
            continue  # its trial was finished, and the folder removed, meanwhile
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(Holder.this_process(token=lease.token).model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        if lease.held():
            return lease


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
    holder = _holder(path)
    return holder is not None and holder.released


def is_gone(path: Path) -> bool:
    """Whether the holder of a lease gave it back, ended, or was not heard of for too long."""
    holder = _holder(path)
    if holder is not None and holder.released:
        return True
    if holder is not None and holder.machine == machine_name():
        return process_start(holder.process_id) != holder.process_start
    # Of another machine, or cut off while it was written. Both times are the disk's own: clocks of machines differ.
    try:
        return _now(path.parent) - path.stat().st_mtime > GONE_SECONDS
    except FileNotFoundError:
        return True


def _holder(path: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _highest(folder: Path) -> int | None:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return None
    numbers = [int(name.removesuffix(".json")) for name in names if name.removesuffix(".json").isdecimal()]
    return max(numbers, default=None)


def _now(folder: Path) -> float:
    """The time by the clock of the disk that holds a folder."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
        return os.stat(file.name).st_mtime
