"""Leases: one holder at a time, taken over once the holder is gone, and what a holder without one may not do."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import LeaseError
from bench.machine.processes import PROCESSES, machine_name, process_start
from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import (
    GONE_SECONDS,
    HEARTBEAT_SECONDS,
    Holder,
    Lease,
    Watch,
    is_gone,
    leased_trials,
    take_lease,
)
from bench.records.store import Store
from tests.bench.records.test_records import record, trial

TRIAL = "0123456789abcdef"


def taken(results: Path, trial_id: str = TRIAL) -> Lease:
    lease = take_lease(results, trial_id)
    assert lease is not None
    return lease


def held_by(lease: Lease, **changes: Any) -> None:
    """Makes a lease somebody else's."""
    holder = Holder.this_process(token=lease.token).model_copy(update=changes)
    lease.path.write_text(holder.model_dump_json())


def ended_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    lease = taken(tmp_path)
    assert lease.held()
    assert take_lease(tmp_path, TRIAL) is None
    assert list(leased_trials(tmp_path)) == [TRIAL]
    assert taken(tmp_path, "another").held()


def test_a_released_lease_is_free_and_that_of_a_finished_trial_leaves_nothing(tmp_path: Path) -> None:
    first = taken(tmp_path)
    first.release(finished=False)
    assert not first.held()
    assert not leased_trials(tmp_path)
    second = taken(tmp_path)
    second.release(finished=True)
    assert not second.folder.exists()
    assert not second.held()
    third = taken(tmp_path)
    assert third.number == first.number
    assert not first.held(), "numbers start again; tokens do not"


@pytest.mark.parametrize(
    "changes",
    [lambda: {"process_id": ended_process()}, lambda: {"process_start": 1}],
    ids=["the process has ended", "its number is another process's"],
)
def test_the_lease_of_a_dead_process_is_taken_over(tmp_path: Path, changes: Callable[[], dict[str, Any]]) -> None:
    stale = taken(tmp_path)
    held_by(stale, **changes())
    assert taken(tmp_path).number == stale.number + 1
    assert not stale.held()


class Clock:
    """A process's own, which goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def elsewhere(results: Path) -> Lease:
    """A lease that another machine holds."""
    far = taken(results)
    held_by(far, machine="elsewhere", process_id=ended_process())
    return far


HOUR = 3600.0
DATES = pytest.mark.parametrize("ahead", [-24 * HOUR, -HOUR, 0.0, HOUR, 24 * HOUR], ids="{:+.0f}".format)


def dated(lease: Lease, ahead: float) -> None:
    """Touches a lease as a machine does whose clock is ahead, on a disk that takes its word for it."""
    date = time.time() + ahead
    os.utime(lease.path, (date, date))


@DATES
def test_the_lease_of_another_machine_is_taken_over_when_it_did_not_change_while_one_watched(
    tmp_path: Path, ahead: float
) -> None:
    far, clock = elsewhere(tmp_path), Clock()
    dated(far, ahead)
    watch = Watch(clock)
    assert take_lease(tmp_path, TRIAL, watch=watch) is None
    clock.seconds += GONE_SECONDS
    assert take_lease(tmp_path, TRIAL, watch=watch) is None
    clock.seconds += 1
    lease = take_lease(tmp_path, TRIAL, watch=watch)
    assert lease is not None
    assert lease.number == far.number + 1
    with pytest.raises(LeaseError, match="is gone"):
        far.beat()


@DATES
def test_the_lease_of_another_machine_that_lives_is_never_taken_over_whatever_its_clock(
    tmp_path: Path, ahead: float
) -> None:
    far, clock = elsewhere(tmp_path), Clock()
    watch = Watch(clock)
    for beat in range(2 * round(GONE_SECONDS / HEARTBEAT_SECONDS)):
        dated(far, ahead + beat * HEARTBEAT_SECONDS)
        assert not is_gone(far.path, watch=watch)
        clock.seconds += HEARTBEAT_SECONDS
    assert take_lease(tmp_path, TRIAL, watch=watch) is None


def test_a_clock_that_is_put_back_is_a_sign_of_life_too(tmp_path: Path) -> None:
    far, clock = elsewhere(tmp_path), Clock()
    watch = Watch(clock)
    for ahead in (HOUR, -HOUR):
        dated(far, ahead)
        assert watch.quiet_seconds(far.path) == 0
        clock.seconds += GONE_SECONDS - 1
    assert not is_gone(far.path, watch=watch)


def test_a_single_look_takes_no_lease_of_another_machine(tmp_path: Path) -> None:
    far = elsewhere(tmp_path)
    dated(far, -24 * HOUR)
    assert take_lease(tmp_path, TRIAL) is None


def test_a_beat_is_a_change(tmp_path: Path) -> None:
    far = taken(tmp_path)
    dated(far, HOUR)
    before = far.path.stat().st_mtime_ns
    far.beat()
    assert far.path.stat().st_mtime_ns != before


def test_a_lease_cut_off_while_it_was_written_is_held_for_a_while(tmp_path: Path) -> None:
    cut, clock = taken(tmp_path), Clock()
    cut.path.write_text("")
    watch = Watch(clock)
    assert take_lease(tmp_path, TRIAL, watch=watch) is None
    clock.seconds += GONE_SECONDS + 1
    lease = take_lease(tmp_path, TRIAL, watch=watch)
    assert lease is not None
    assert lease.number == 2


def test_a_lease_that_went_while_it_was_looked_at_is_gone(tmp_path: Path) -> None:
    """Its trial was finished meanwhile: the file first, then the folder."""
    lease = taken(tmp_path)
    lease.path.unlink()
    assert is_gone(lease.path, watch=Watch())
    lease.folder.rmdir()
    assert is_gone(lease.path, watch=Watch())
    assert taken(tmp_path).number == lease.number


def test_who_is_slower_to_take_over_passes_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(taken(tmp_path), process_start=1)
    faster = []

    def judge(path: Path, *, watch: Watch) -> bool:
        gone = is_gone(path, watch=watch)
        monkeypatch.undo()
        faster.append(taken(tmp_path))  # between the look at the lease and the step that takes it over
        return gone

    monkeypatch.setattr("bench.records.running.leases.is_gone", judge)
    assert take_lease(tmp_path, TRIAL) is None
    assert faster[0].held()


def test_a_lease_whose_link_was_made_is_this_ones_whatever_the_disk_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file server asks again where an answer was lost, and is told that the link exists."""
    link = os.link

    def made_twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", made_twice)
    assert taken(tmp_path).held()
    assert take_lease(tmp_path, TRIAL) is None


def take_and_tell(results: Path, start: Any, told: Any) -> None:
    start.wait()
    told.put(take_lease(results, TRIAL) is not None)
    start.wait()  # stays alive until all have tried


def test_of_many_processes_one_takes_over(tmp_path: Path) -> None:
    held_by(taken(tmp_path), process_start=1)
    context = multiprocessing.get_context("fork" if sys.version_info < (3, 12) else "spawn")
    start, told = context.Barrier(6), context.Queue()
    processes = [context.Process(target=take_and_tell, args=(tmp_path, start, told)) for _ in range(6)]
    for process in processes:
        process.start()
    assert sorted(told.get(timeout=60) for _ in processes) == [False] * 5 + [True]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def test_a_process_is_known_by_its_start() -> None:
    assert process_start(os.getpid()) == process_start(os.getpid())
    assert process_start(ended_process()) is None
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert ended.stdout is not None
    with ended.stdout:
        ended.stdout.read()  # until it has ended, though nobody has asked how
    wait_until_gone(ended.pid)
    assert (PROCESSES / str(ended.pid)).exists()
    ended.wait()
    assert machine_name() == machine_name()


def wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 30
    while process_start(process_id) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_attempt_takes_its_place_whole(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, lease=taken(tmp_path, trial().id), command="python run_all.py", workers=2)
    attempt.start()
    (attempt.folder_of(trial().id) / "log.txt").write_text("printed")
    store = Store(tmp_path)
    assert store.trial_ids() == []
    attempt.write(record(trial(), quality=0.25))
    written = store.read(trial().id)
    assert written is not None
    assert (written.command, written.workers) == ("python run_all.py", 2)
    assert (store.folder_of(trial().id) / "log.txt").read_text() == "printed"
    attempt.end()
    assert not attempts(tmp_path)
    assert not leased_trials(tmp_path)


def test_an_attempt_replaces_a_failure_but_no_finished_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(trial(), status="failed"))
    first = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    first.start()
    first.write(record(trial(), quality=0.25))
    first.start()
    with pytest.raises(LeaseError, match="is finished already"):
        first.write(record(trial(), quality=0.5))
    kept = store.read(trial().id)
    assert kept is not None
    assert kept.quality == 0.25


@pytest.mark.parametrize("resumable", [True, False])
def test_events_go_with_the_checkpoint_that_a_trial_goes_on_from(resumable: bool, tmp_path: Path) -> None:
    """Without one the trial starts anew, and what failed keeps what it left until it is replaced."""
    failed = Store(tmp_path).write(record(trial(), status="failed")).parent
    (failed / "tensorboard").mkdir()
    if resumable:
        (failed / "checkpoint-4.npz").touch()
    attempt = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    attempt.start()
    moved = {path.name for path in attempt.running.iterdir()}
    assert moved == ({"checkpoint-4.npz", "tensorboard"} if resumable else set())
    assert (failed / "tensorboard").is_dir() != resumable
    assert (failed / "record.json").is_file()


def test_who_has_lost_the_lease_writes_nothing(tmp_path: Path) -> None:
    late = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    late.start()
    held_by(late.lease, process_start=1)
    now = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    now.start()
    assert not late.running.exists()
    with pytest.raises(LeaseError, match="another run has taken it over"):
        late.write(record(trial(), quality=0.5))
    assert Store(tmp_path).trial_ids() == []
    assert attempts(tmp_path) == [now.running]
    late.end()
    assert now.lease.held()
