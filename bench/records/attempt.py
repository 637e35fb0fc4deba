"""One run of a trial, whose files stand apart until it ends: `results/running/<trial id>-<token>/`.

A trial that ends takes its place in the store as a whole, so that nothing there is ever half done, and a process that
lost its lease can disturb neither the store nor the one that runs the trial now.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from bench.errors import DiskError, LeaseError, RecordError
from bench.machine.disk import disk_explained
from bench.records.attempted import Attempted, AttemptsFile, How, closed, joined
from bench.records.leases import Lease
from bench.records.lone_folder import HEARTBEAT, TRIAL, has_finished, left_record, record_in
from bench.records.record import FINISHED, Record
from bench.records.store import CHECKPOINTS, EVENTS, SO_FAR, Store

RUNNING = "running"
# Behind the name of a folder whose run is gone, so that whoever still writes there writes no more.
LEFT = "-left"


class Attempt(Store):
    """The store as the one who runs a trial under a lease sees it.

    Args:
        results: the folder of all records.
        lease: on the trial.
        command: the command line that runs it, for its record; None leaves what the record says.
        workers: trials at a time of that command, for its record; None leaves what the record says.
    """

    def __init__(self, results: Path, *, lease: Lease, command: str | None = None, workers: int | None = None) -> None:
        super().__init__(results)
        self.lease = lease
        self._command = command
        self._workers = workers
        self._earlier: tuple[Attempted, ...] = ()
        self._begun = False
        self._has_finished = False

    @property
    def running(self) -> Path:
        """Where the trial's files stand until it ends."""
        return self.results / RUNNING / f"{self.lease.trial_id}-{self.lease.token}"

    def folder_of(self, trial_id: str) -> Path:
        """Where a trial keeps its files: this one's stand apart."""
        return self.running if trial_id == self.lease.trial_id else super().folder_of(trial_id)

    def held(self) -> bool:
        """Whether what is written still counts: as long as no other run has the trial."""
        return self.lease.held()

    def start(self) -> None:
        """Takes what the trial can go on from out of what its earlier runs left, and removes the rest.

        Whoever still writes there has lost the lease. A finished record that a trial's command left there is kept, for
        `adopt`.
        """
        with disk_explained(self.running):
            self.running.mkdir(parents=True)
            self._take_over()

    def begin(self, *, node: str, device: str) -> None:
        """Notes that the trial is started now, there, for its record."""
        AttemptsFile(self.running).begin(node=node, device=device, earlier=self._earlier)
        self._begun = True

    def locate(self, *, node: str, device: str) -> None:
        """Notes where it runs, where that was not known when it was started."""
        AttemptsFile(self.running).locate(node=node, device=device)

    def close(self, how: How, error: str) -> None:
        """Notes how it ended, where its record does not say it as well."""
        AttemptsFile(self.running).close(how, error)

    def adopt(self) -> bool:
        """Takes in the finished record that the command of a run which is gone left behind; whether there was one."""
        if not self._has_finished:
            return False
        self._command = self._workers = None  # it was another command's
        return self.take_in()

    def take_in(self) -> bool:
        """Gives the record that the trial's command left in its folder its place in the store; whether there was one.

        Raises `DamagedRecordError` or `NewerRecordError` where it, or a file that it tells of, is not to be believed;
        `LeaseError` and `DiskError` as `write`.
        """
        record = left_record(self.running, trial_id=self.lease.trial_id)
        if record is None:
            return False
        self._begun = False  # the record tells of the attempts itself
        AttemptsFile(self.running).remove()
        for path in (self.running / TRIAL, *self.running.glob(f"*{HEARTBEAT}*")):
            path.unlink(missing_ok=True)
        self.write(record)
        return True

    def _take_over(self) -> None:
        trial_id = self.lease.trial_id
        left = [_withdrawn(folder) for folder in attempts(self.results, trial_id) if folder != self.running]
        ended = Store(self.results).folder_of(trial_id)  # timed out or failed, if it is run again
        self._earlier = _attempts_at(ended, left, trial_id=trial_id)
        finished = next((folder for folder in left if has_finished(folder, trial_id=trial_id)), None)
        if finished is not None:
            self.running.rmdir()
            finished.rename(self.running)
            left.remove(finished)
            self._has_finished = True
        newest = max((ended, *left), key=_last_checkpoint)
        if _last_checkpoint(newest) and not self._has_finished:
            for name in SO_FAR:  # copied, since a record of a failure may tell of them
                if (newest / name).is_file():
                    shutil.copy2(newest / name, self.running / name)
            for path in (*newest.glob(CHECKPOINTS), newest / EVENTS):
                if path.exists():
                    path.rename(self.running / path.name)
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, record: Record) -> Path:
        """Writes the record and gives the trial its place in the store; returns the record's path there.

        Raises `LeaseError`, and changes nothing in the store, where the lease is gone or the trial finished already;
        `DiskError`, where the disk does not take the record or the trial's folder is gone: then its checkpoints stay.
        """
        self._check_lease()
        if not self.running.is_dir():
            raise DiskError(f"{self.running}: the folder of a running trial is gone; run again")
        told = {"command": self._command, "workers": self._workers}
        known: dict[str, object] = {name: value for name, value in told.items() if value is not None}
        if self._begun:
            noted = AttemptsFile(self.running)
            known["attempts"] = closed(noted.read(), how=record.status, error=record.error)
            noted.remove()
        written = super().write(record.model_copy(update=known))
        trial_id = self.lease.trial_id
        self._check_lease()
        store = Store(self.results)
        have = store.survey([trial_id]).records.get(trial_id)
        if have is not None and have.status in FINISHED:
            raise LeaseError(f"trial {trial_id}: is finished already; nothing is written")
        place = store.folder_of(trial_id)
        with disk_explained(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._exchange(place)
        if record.status in FINISHED:  # what an earlier run could have gone on from, where another's record is taken in
            for checkpoint in place.glob(CHECKPOINTS):
                checkpoint.unlink()
        return place / written.name

    def _check_lease(self) -> None:
        if not self.lease.held():
            if not has_finished(self.running, trial_id=self.lease.trial_id):  # else whoever has the lease adopts it
                shutil.rmtree(self.running, ignore_errors=True)
            raise LeaseError(f"trial {self.lease.trial_id}: another run has taken it over; nothing is written")

    def _exchange(self, place: Path) -> None:
        """Puts the trial's folder in its place; what was there comes back if that fails."""
        before = self.running.with_name(f"{self.running.name}-before")
        if place.exists():
            place.rename(before)
        try:
            self.running.rename(place)
        except OSError:
            if before.exists():
                before.rename(place)
            raise
        shutil.rmtree(before, ignore_errors=True)

    def end(self) -> None:
        """Gives the lease back; what did not end leaves what the next run goes on from, if anything."""
        trial_id = self.lease.trial_id
        have = Store(self.results).survey([trial_id]).records.get(trial_id)
        if not is_resumable(self.running) and not has_finished(self.running, trial_id=trial_id):
            shutil.rmtree(self.running, ignore_errors=True)
        self.lease.release(finished=have is not None and have.status in FINISHED)


def is_resumable(folder: Path) -> bool:
    """Whether a trial's folder has a checkpoint to go on from."""
    return any(folder.glob(CHECKPOINTS))


def _withdrawn(folder: Path) -> Path:
    """The folder of a run that is gone, under a name which nobody knows who may still write to it."""
    if folder.name.endswith(LEFT):
        return folder
    return folder.rename(folder.with_name(folder.name + LEFT))


def _attempts_at(ended: Path, left: Sequence[Path], *, trial_id: str) -> tuple[Attempted, ...]:
    """The earlier attempts at a trial: those that its records tell of, and those of runs that left none."""
    told: list[Iterable[Attempted]] = []
    for folder in (ended, *left):
        with suppress(RecordError):  # it is not believed, in this either
            record = record_in(folder, trial_id=trial_id)
            told.append(() if record is None else record.attempts)
    noted = [closed(AttemptsFile(folder).read(), how="lost", error="its run was gone", ended="") for folder in left]
    return joined(*told, *noted)


def _last_checkpoint(folder: Path) -> float:
    """When the newest checkpoint in a folder was written, in seconds of the epoch; 0 where there is none."""
    return max((path.stat().st_mtime for path in folder.glob(CHECKPOINTS)), default=0.0)


def attempts(results: Path, trial_id: str = "*") -> list[Path]:
    """The folders of a trial's runs, or of every trial's, that did not end: they run or were cut off."""
    return sorted((results / RUNNING).glob(f"{trial_id}-*"))
