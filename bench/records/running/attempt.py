"""One run of a trial, whose files stand apart until it ends: `results/running/<trial id>-<token>/`.

A trial that ends takes its place in the store as a whole, so that nothing there is ever half done, and a process that
lost its lease can disturb neither the store nor the one that runs the trial now.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import DiskError, LeaseError, RecordError
from bench.machine.disk import disk_explained, exchange_folder, remove_folder
from bench.records.attempted import Attempted, AttemptsFile, How, closed, joined
from bench.records.record import FINISHED, Record
from bench.records.running.leases import Lease
from bench.records.running.lone_folder import HEARTBEAT, TRIAL, has_finished, left_record, record_in
from bench.records.store import CHECKPOINTS, EVENTS, QUARANTINE, SO_FAR, TRIALS, Store

RUNNING = "running"
GONE = "the folder of a running trial is gone; run again"


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

        One of them may have ended the trial, and have been cut off before the record came to its place: then it comes
        there now, and the trial need not be run. Whoever still writes in their folders has lost the lease.

        Raises `DiskError`, and `LeaseError` where this run was so late that another has taken over.
        """
        with self.while_held(), disk_explained(self.running):
            self.running.mkdir(parents=True)
            self._take_over()

    def begin(self, *, node: str, device: str) -> None:
        """Notes that the trial is started now, there, for its record. Raises as `start`; so do the next two."""
        with self.while_held():
            AttemptsFile(self.running).begin(node=node, device=device, earlier=self._earlier)
        self._begun = True

    def locate(self, *, node: str, device: str) -> None:
        """Notes where it runs, where that was not known when it was started."""
        with self.while_held():
            AttemptsFile(self.running).locate(node=node, device=device)

    def close(self, how: How, error: str) -> None:
        """Notes how it ended, where its record does not say it as well."""
        with self.while_held():
            AttemptsFile(self.running).close(how, error)

    def conclude(self, how: How, error: str) -> None:
        """Notes how it ended as whoever attended to it saw it, where itself told no more than that it was stopped."""
        with self.while_held():
            AttemptsFile(self.running).conclude(how, error)

    @contextmanager
    def while_held(self) -> Iterator[None]:
        """Says of a file that is gone or cannot be written why: whoever takes a trial over takes its folder away."""
        try:
            yield
        except (DiskError, FileNotFoundError):
            self._check_lease()
            raise

    def take_in(self) -> bool:
        """Gives the record that the trial's command left in its folder its place in the store; whether there was one.

        Raises `DamagedRecordError` or `NewerRecordError` where it, or a file that it tells of, is not to be believed;
        `LeaseError` and `DiskError` as `write`.
        """
        record = left_record(self.running, trial_id=self.lease.trial_id)
        if record is None:
            return False
        self._begun = False  # the record tells of the attempts itself
        with self.while_held():
            _leave_the_record(self.running)
        self.write(record)
        return True

    def _take_over(self) -> None:
        left = self._claimed()
        for folder in left:
            if self._settle(folder):
                break
        left = [folder for folder in left if folder.is_dir()]
        ended = Store(self.results).folder_of(self.lease.trial_id)  # timed out or failed, if it is run again
        self._earlier = _attempts_at(ended, left, trial_id=self.lease.trial_id)
        newest = max((ended, *left), key=_last_checkpoint)
        if _last_checkpoint(newest):
            for name in SO_FAR:  # copied, since a record of a failure may tell of them
                if (newest / name).is_file():
                    shutil.copy2(newest / name, self.running / name)
            for path in (*newest.glob(CHECKPOINTS), newest / EVENTS):
                if path.exists():
                    path.rename(self.running / path.name)
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)

    def _claimed(self) -> list[Path]:
        """What earlier runs of the trial left, under names that they do not know.

        One that comes back late finds its folder gone as a whole: it cannot give it a place while it is taken apart.
        """
        claimed = []
        for number, folder in enumerate(attempts(self.results, self.lease.trial_id)):
            if folder == self.running:
                continue
            mine = self.running.with_name(f"{self.running.name}-left-{number}")
            with suppress(FileNotFoundError):  # its run has just ended the trial
                folder.rename(mine)
                claimed.append(mine)
        return claimed

    def write(self, record: Record) -> Path:
        """Writes the record and gives the trial its place in the store; returns the record's path there.

        Raises `LeaseError`, and changes nothing in the store, where the lease is gone, the trial finished already or a
        later version's record stands there; `DiskError`, where the disk does not take the record or the trial's folder
        is gone: then its checkpoints stay.
        """
        self._check_lease()
        with self.while_held():
            return self._write(record)

    def _write(self, record: Record) -> Path:
        if not self.running.is_dir():
            raise DiskError(f"{self.running}: {GONE}")
        told = {"command": self._command, "workers": self._workers}
        known: dict[str, object] = {name: value for name, value in told.items() if value is not None}
        noted = AttemptsFile(self.running)
        if self._begun:
            known["attempts"] = closed(noted.read(), how=record.status, error=record.error)
        written = super().write(record.model_copy(update=known))
        noted.remove()
        self._check_lease()
        trial_id = self.lease.trial_id
        found = Store(self.results).survey([trial_id])
        if trial_id in found.left_alone:
            raise LeaseError(found.left_alone[trial_id])
        have = found.records.get(trial_id)
        if have is not None and have.status in FINISHED:
            raise LeaseError(f"trial {trial_id}: is finished already; nothing is written")
        return self._place(self.running, finished=record.status in FINISHED) / written.name

    def replace(self, record: Record) -> None:
        """Gives the folder the trial's place in the store, whose record it holds, and more files. Raises as `write`."""
        self._check_lease()
        with self.while_held():
            self._place(self.running, finished=record.status in FINISHED)

    def _settle(self, folder: Path) -> bool:
        """Gives a trial its place that ended in this folder, and was cut off before it had it; whether there is one."""
        trial_id = self.lease.trial_id
        if not has_finished(folder, trial_id=trial_id):
            return False
        found = Store(self.results).survey([trial_id])
        have = found.records.get(trial_id)
        if trial_id in found.left_alone or (have is not None and have.status in FINISHED):
            return False
        if trial_id in found.damaged:
            Store(self.results).set_aside(trial_id, reason=found.damaged[trial_id])
        _leave_the_record(folder)
        self._place(folder, finished=True)
        return True

    def _place(self, folder: Path, *, finished: bool) -> Path:
        """Puts a trial's folder, which has its record, in its place; returns where that is."""
        for temporary in folder.glob(".*"):  # of files that were being written when a process was killed
            if temporary.is_file():
                temporary.unlink()
        place = Store(self.results).folder_of(self.lease.trial_id)
        with disk_explained(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._exchange(folder, place)
        if finished:  # what an earlier run could have gone on from, where another's record is taken in
            _remove_checkpoints(place)
        return place

    def _check_lease(self) -> None:
        if not self.lease.held():
            if not has_finished(self.running, trial_id=self.lease.trial_id):  # else whoever has the lease adopts it
                shutil.rmtree(self.running, ignore_errors=True)
            raise LeaseError(f"trial {self.lease.trial_id}: another run has taken it over; nothing is written")

    def _exchange(self, folder: Path, place: Path) -> None:
        """Puts a folder in its place; what was there comes back if that fails."""
        before = self.running.with_name(f"{self.running.name}-before")
        try:
            exchange_folder(folder, place, before=before)
        except FileNotFoundError:
            raise DiskError(f"{folder}: {GONE}") from None
        with suppress(OSError):  # there may have been none
            remove_folder(before)

    def end(self) -> None:
        """Gives the lease back; what did not end leaves what the next run goes on from, if anything."""
        with suppress(DiskError, LeaseError), self.while_held():  # else the next run settles it
            if self.lease.held():
                self._settle(self.running)
        trial_id = self.lease.trial_id
        have = Store(self.results).survey([trial_id]).records.get(trial_id)
        finished = have is not None and have.status in FINISHED
        if finished and self.lease.held():
            for folder in attempts(self.results, trial_id):
                shutil.rmtree(folder, ignore_errors=True)
            _remove_checkpoints(Store(self.results).folder_of(trial_id))
        if not is_resumable(self.running) and not has_finished(self.running, trial_id=trial_id):
            shutil.rmtree(self.running, ignore_errors=True)
        self.lease.release(finished=finished)


def check_one_disk(results: Path) -> None:
    """Raises `DiskError` where a trial's folder could not go from one place in the results folder to another."""
    folders = [folder for name in (RUNNING, TRIALS, QUARANTINE) if (folder := results / name).is_dir()]
    if len(folders) < 3 and results.is_dir():  # what is missing is made there
        folders.append(results)
    for folder in folders:
        if folder.stat().st_dev != folders[0].stat().st_dev:
            raise DiskError(
                f"{folder}: is on another disk than {folders[0]}; "
                f"keep the whole results folder on one disk, and run again"
            )


def is_resumable(folder: Path) -> bool:
    """Whether a trial's folder has a checkpoint to go on from."""
    return any(folder.glob(CHECKPOINTS))


def _remove_checkpoints(place: Path) -> None:
    for checkpoint in place.glob(CHECKPOINTS):
        checkpoint.unlink(missing_ok=True)


def _leave_the_record(folder: Path) -> None:
    """Removes what tells of a trial beside its record, which tells the same."""
    AttemptsFile(folder).remove()
    for path in (folder / TRIAL, *folder.glob(f"*{HEARTBEAT}*")):
        path.unlink(missing_ok=True)


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
