"""Runs that were cut off between two steps: what they had ended is not lost, and nothing of them stays."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from bench.errors import DamagedRecordError, LeaseError, NewerRecordError
from bench.machine.disk import write_atomically
from bench.machine.processes import VARIABLE, machine_name
from bench.records.format import SCHEMA, encode
from bench.records.record import Record
from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import LEASES, Watch, gone_seconds, leased_trials, take_lease
from bench.records.running.remains import clear_remains
from bench.records.store import Store, write_curve
from bench.records.upkeep import merge as module_of_merge
from bench.records.upkeep.merge import merge
from bench.records.upkeep.verify import findings
from tests.bench.records.test_leases import ended_process, held_by, taken
from tests.bench.records.test_records import record, trial


def begun(results: Path) -> Attempt:
    attempt = Attempt(results, lease=taken(results, trial().id), command="python run_all.py", workers=1)
    attempt.start()
    attempt.begin(node="here", device="cpu")
    return attempt


def cut_off(results: Path, made: Record) -> Attempt:
    """A run that was killed when its record was written and had not yet its place."""
    attempt = begun(results)
    write_curve(attempt.running / "curve.csv", [{"step": 1}])
    (attempt.running / "checkpoint-4.npz").write_bytes(b"state")
    Store.write(attempt, made)
    held_by(attempt.lease, process_id=ended_process())
    return attempt


def nothing_is_left(results: Path) -> None:
    assert not attempts(results)
    assert not list((results / LEASES).iterdir())
    assert not list(results.glob("trials/*/checkpoint-*"))
    assert not list(results.glob("trials/*/.*"))
    assert not list(results.glob("trials/*/attempts.json"))
    assert findings(results) == []


@pytest.mark.parametrize("before", ["nothing", "a failure"])
def test_a_finished_record_without_its_place_comes_there(tmp_path: Path, before: str) -> None:
    store = Store(tmp_path)
    if before == "a failure":
        store.write(record(trial(), status="failed", error="no room"))
    cut_off(tmp_path, record(trial(), quality=0.25, finished=""))
    attempt = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    attempt.start()
    have = store.read(trial().id)
    assert have is not None
    assert have.quality == 0.25
    attempt.end()
    nothing_is_left(tmp_path)


def test_one_whose_files_are_not_what_it_tells_is_run_again(tmp_path: Path) -> None:
    late = cut_off(tmp_path, record(trial(), quality=0.25, finished=""))
    (late.running / "curve.csv").write_text("step\n2\n")
    attempt = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    attempt.start()
    assert Store(tmp_path).trial_ids() == []
    assert [path.name for path in attempt.running.glob("checkpoint-*")] == ["checkpoint-4.npz"]


def test_who_ends_in_order_gives_its_record_its_place(tmp_path: Path) -> None:
    """A trial may be asked to end between its record and its place."""
    attempt = begun(tmp_path)
    Store.write(attempt, record(trial(), quality=0.25, finished=""))
    attempt.end()
    assert Store(tmp_path).read(trial().id) is not None
    nothing_is_left(tmp_path)


def test_a_failure_that_had_not_yet_its_place_is_still_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = begun(tmp_path)
    first.close("killed", "as it was before")
    first.write(record(trial(), status="failed", error="as it was before"))
    first.end()

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    second = begun(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Attempt, "_place", die)
        with pytest.raises(KeyboardInterrupt):
            second.write(record(trial(), status="timeout", error="too long"))
    held_by(second.lease, process_id=ended_process())
    third = begun(tmp_path)
    third.write(record(trial(), quality=0.25))
    have = Store(tmp_path).read(trial().id)
    assert have is not None
    assert [each.how for each in have.attempts] == ["killed", "timeout", "ok"]


def test_a_late_run_finds_its_folder_gone_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = begun(tmp_path)
    for name in ("curve.csv", "final.npz"):
        (late.running / name).write_bytes(b"something")
    held_by(late.lease, process_id=ended_process())
    there: list[bool] = []

    def remove(folder: Path, **how: object) -> None:
        there.append(late.running.exists())

    monkeypatch.setattr("shutil.rmtree", remove)
    now = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    now.start()
    assert there == [False], "it was renamed before anything of it was removed"


@pytest.mark.parametrize("act", ["begin", "close", "write", "start"])
def test_a_late_run_is_told_of_its_lease_and_not_of_the_disk(tmp_path: Path, act: str) -> None:
    late = begun(tmp_path)
    held_by(late.lease, process_id=ended_process())
    Attempt(tmp_path, lease=taken(tmp_path, trial().id)).start()
    acts = {
        "begin": lambda: late.begin(node="here", device="cpu"),
        "close": lambda: late.close("stopped", ""),
        "write": lambda: late.write(record(trial())),
    }
    if act == "start":  # a checkpoint that it is about to take is gone
        (late.running.parent).rename(late.running.parent.with_name("elsewhere"))
        (late.running.parent).write_text("")
        acts["start"] = late.start
    with pytest.raises(LeaseError, match="another run has taken it over"):
        acts[act]()


def test_a_late_run_between_its_look_at_the_lease_and_its_step_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = begun(tmp_path)
    exchange = Attempt._exchange

    def slow(attempt: Attempt, folder: Path, place: Path) -> None:
        monkeypatch.undo()
        held_by(late.lease, process_id=ended_process())
        faster = begun(tmp_path)
        with pytest.raises(LeaseError, match="is finished already"):
            faster.write(record(trial(), quality=0.5))
        faster.end()
        exchange(attempt, folder, place)

    monkeypatch.setattr(Attempt, "_exchange", slow)
    with pytest.raises(LeaseError, match="another run has taken it over"):
        late.write(record(trial(), quality=0.25))
    late.end()
    have = Store(tmp_path).read(trial().id)
    assert have is not None
    assert have.quality == 0.25, "it had ended the trial, and the other has given that its place"
    nothing_is_left(tmp_path)


def test_what_a_killed_run_left_of_a_finished_trial_is_cleared(tmp_path: Path) -> None:
    attempt = begun(tmp_path)
    attempt.write(record(trial(), quality=0.25))
    place = Store(tmp_path).folder_of(trial().id)
    (place / "checkpoint-4.npz").write_bytes(b"state")
    attempt.running.with_name(f"{attempt.running.name}-before").mkdir()
    held_by(attempt.lease, process_id=ended_process())
    clear_remains(tmp_path, [], watch=Watch())
    assert leased_trials(tmp_path), "of a trial that is not known to be finished nothing is touched"
    clear_remains(tmp_path, [trial().id], watch=Watch())
    nothing_is_left(tmp_path)


def test_what_another_run_is_about_to_clear_itself_stays(tmp_path: Path) -> None:
    attempt = begun(tmp_path)
    attempt.write(record(trial(), quality=0.25))
    clear_remains(tmp_path, [trial().id], watch=Watch())
    assert attempt.lease.held()


def test_temporary_files_of_a_killed_process_do_not_come_into_the_store(tmp_path: Path) -> None:
    attempt = begun(tmp_path)
    (attempt.running / ".checkpoint-4-abcdefgh.npz").write_bytes(b"half")
    attempt.write(record(trial(), status="failed", error="killed"))
    assert [path.name for path in Store(tmp_path).folder_of(trial().id).iterdir()] == ["record.json"]


def test_a_merge_finds_that_a_run_which_was_cut_off_had_ended_the_trial(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    Store(theirs).write(record(trial(), quality=0.5))
    cut_off(ours, record(trial(), quality=0.25, finished=""))
    merged = merge(ours, theirs)
    assert merged.copied == []
    assert "differs from" in merged.refused[0]
    have = Store(ours).read(trial().id)
    assert have is not None
    assert have.quality == 0.25


@pytest.mark.parametrize("step", ["copy_folder", "_unpack"])
def test_a_merge_that_is_late_refuses_the_trial_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for seed in (0, 1):
        folder = Store(theirs).folder_of(trial(seed=seed).id)
        folder.mkdir(parents=True)
        (folder / "curve.csv").write_text("step\n")
        Store(theirs).write(record(trial(seed=seed), finished=""))
    original = getattr(module_of_merge, step)

    def late(*values: object, **named: object) -> None:
        monkeypatch.undo()
        (lease,) = (ours / LEASES).glob("*/1.json")
        lease.with_name("2.json").write_text(lease.read_text().replace('"token":"', '"token":"another'))
        for folder in (ours / "running").iterdir():
            folder.rename(ours / "taken over")
        original(*values, **named)

    monkeypatch.setattr(module_of_merge, step, late)
    merged = merge(ours, theirs)
    (refused,) = merged.refused
    assert "another run has taken it over" in refused
    assert len(merged.copied) == 1


def test_a_schema_number_that_was_changed_makes_no_later_version(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(record(trial()))
    text = path.read_text()
    path.write_text(text.replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 4}'))
    with pytest.raises(DamagedRecordError, match="was changed after it was written"):
        store.read(trial().id)
    path.write_text(encode(record(trial())).replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 4}, "taste": "sweet"'))
    with pytest.raises(NewerRecordError):
        store.read(trial().id)


def test_a_lease_is_there_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> None:
        assert not (tmp_path / LEASES / trial().id / "1.json").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.records.running.leases.os.fsync", die)
    with pytest.raises(KeyboardInterrupt):
        take_lease(tmp_path, trial().id)
    monkeypatch.undo()
    assert take_lease(tmp_path, trial().id) is not None, "nobody is kept away"


def test_a_disk_without_links_takes_leases_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("bench.records.running.leases.os.link", refuse)
    lease = take_lease(tmp_path, trial().id)
    assert lease is not None
    assert lease.held()
    assert [path.name for path in lease.folder.iterdir()] == ["1.json"]
    assert take_lease(tmp_path, trial().id) is None


def write_and_die(path: Path, begun: object) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

    write_atomically(path, write)


def test_the_next_write_removes_what_a_killed_writer_left_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    context = multiprocessing.get_context("fork" if sys.version_info < (3, 12) else "spawn")
    process = context.Process(target=write_and_die, args=(path, None))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    kept = [tmp_path / name for name in (".list-short.json", ".list-abcdefgh.txt", ".other-abcdefgh.json")]
    for each in kept:
        each.touch()
    kept.append(tmp_path / ".list-12345678.json")
    kept[-1].symlink_to(tmp_path / "nowhere")  # cannot be opened, as one that went while it was looked at

    def write(temporary: Path) -> None:
        assert not left.exists()
        inner = temporary.read_bytes()
        write_atomically(path, lambda other: other.write_text("first") and None)
        assert temporary.read_bytes() == inner, "one that is being written is left alone"
        temporary.write_text("second")

    write_atomically(path, write)
    assert path.read_text() == "second"
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])


@pytest.mark.parametrize("told", ["", "soon", "0.5", "nan", "inf", "-3", "100000"])
def test_a_time_to_be_gone_that_is_none_is_refused_in_one_line(told: str) -> None:
    with pytest.raises(LeaseError, match=r"^SKIPRNN_GONE_SECONDS=.*: not a number of seconds from 1 to 86400"):
        gone_seconds(told)
    assert gone_seconds("2.5") == 2.5
    assert gone_seconds(None) == 300.0


def test_machines_that_look_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine_name.cache_clear()
    plain = machine_name()
    lease = taken(tmp_path, trial().id)
    held_by(lease, process_id=ended_process())
    monkeypatch.setenv(VARIABLE, "second")
    machine_name.cache_clear()
    try:
        assert machine_name() != plain
        assert machine_name().startswith(plain)
        assert take_lease(tmp_path, trial().id) is None, "whether its process lives is not to be seen from here"
    finally:
        monkeypatch.delenv(VARIABLE)
        machine_name.cache_clear()
    assert take_lease(tmp_path, trial().id) is not None
