"""Records that a trial's command left in its attempt's folder: taken in by its run, or adopted by the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import DamagedRecordError, DiskError, LeaseError
from bench.launch.waiting import Waiting
from bench.plan.trial import Trial
from bench.records.attempted import AttemptsFile
from bench.records.record import Record, Status, failure
from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import Holder, Lease, leased_trials, take_lease
from bench.records.running.lone_folder import HEARTBEAT, LoneFolder, has_finished, write_trial
from bench.records.store import Store
from bench.records.upkeep.verify import findings
from tests.bench.records.test_records import record, trial


def begun(results: Path, made: Trial, *, command: str = "") -> Attempt:
    """An attempt as a run that sends commands begins it."""
    lease = take_lease(results, made.id)
    assert lease is not None
    attempt = Attempt(results, lease=lease, command=command, workers=3)
    attempt.start()
    attempt.begin(node="", device="cpu")
    write_trial(attempt.running, made)
    return attempt


def command(attempt: Attempt, *, status: Status = "ok") -> None:
    """What the command leaves there."""
    (attempt.running / HEARTBEAT).write_text("{}")
    (attempt.running / "curve.csv").write_text("step\n")
    made = trial()
    store = LoneFolder(attempt.running, trial_id=made.id, command="python -m bench trial FOLDER")
    store.begin(node="node1", device="cpu")
    new = record(made).model_copy(update={"finished": ""})
    store.write(new if status == "ok" else failure(made, status=status, error="as it went"))
    assert not Store(attempt.results).survey([made.id]).records, "nothing of it counts before it is taken in"


def gone(attempt: Attempt) -> None:
    """Its run was killed."""
    attempt.lease.release(finished=False)


def next_run(results: Path, made: Trial) -> tuple[list[Record], tuple[Trial, Attempt] | None]:
    """What a later run shares, and what it has to run."""
    shared: list[Record] = []
    waiting = Waiting([made], store=Store(results), before={}, command="the next run", workers=1)
    return shared, waiting.take(shared=lambda _, found: shared.append(found), between=lambda: None)


def test_the_run_takes_in_what_its_command_left(tmp_path: Path) -> None:
    made = trial()
    attempt = begun(tmp_path, made, command="python run_all.py mine.toml")
    command(attempt)
    assert attempt.take_in()
    taken = Store(tmp_path).read(made.id)
    assert taken is not None
    assert (taken.command, taken.workers) == ("python run_all.py mine.toml", 3)
    (one,) = taken.attempts
    assert (one.node, one.device, one.how) == ("node1", "cpu", "ok"), "one attempt, where the command said"
    assert {path.name for path in Store(tmp_path).folder_of(made.id).iterdir()} == {"record.json", "curve.csv"}
    attempt.end()
    assert findings(tmp_path) == []
    assert not attempts(tmp_path)


def test_where_the_command_left_no_record_there_is_nothing_to_take_in(tmp_path: Path) -> None:
    assert not begun(tmp_path, trial()).take_in()


@pytest.mark.parametrize("what", ["the record", "a file beside it"])
def test_what_is_not_to_be_believed_is_not_taken_in(what: str, tmp_path: Path) -> None:
    attempt = begun(tmp_path, trial())
    command(attempt)
    path = attempt.running / ("record.json" if what == "the record" else "curve.csv")
    path.write_text(path.read_text()[:-3])
    with pytest.raises(DamagedRecordError):
        attempt.take_in()
    assert Store(tmp_path).read(trial().id) is None
    gone(attempt)
    shared, taken = next_run(tmp_path, trial())
    assert not shared
    assert taken is not None, "nor by a later run, which runs it"


def test_what_finished_after_its_run_was_gone_counts(tmp_path: Path) -> None:
    made = trial()
    attempt = begun(tmp_path, made)
    command(attempt)
    gone(attempt)
    (finding,) = findings(tmp_path)
    assert finding.endswith(": finished after its run was gone; its sweep's next run takes its record in")
    shared, taken = next_run(tmp_path, made)
    assert taken is None
    assert shared == [Store(tmp_path).read(made.id)]
    assert shared[0].command == "python -m bench trial FOLDER", "who ran it, not who found it"
    assert [one.how for one in shared[0].attempts] == ["ok"]
    assert findings(tmp_path) == []
    assert not attempts(tmp_path)
    assert not leased_trials(tmp_path)


def test_a_run_that_is_killed_while_it_adopts_leaves_it_to_the_next(tmp_path: Path) -> None:
    made = trial()
    attempt = begun(tmp_path, made)
    command(attempt)
    gone(attempt)
    lease = take_lease(tmp_path, made.id)
    assert lease is not None
    adopting = Attempt(tmp_path, lease=lease)
    adopting.start()
    gone(adopting)
    shared, taken = next_run(tmp_path, made)
    assert taken is None
    assert len(shared) == 1


def test_a_failure_after_its_run_was_gone_is_run_again_and_told(tmp_path: Path) -> None:
    made = trial()
    attempt = begun(tmp_path, made)
    command(attempt, status="failed")
    gone(attempt)
    shared, taken = next_run(tmp_path, made)
    assert not shared
    assert taken is not None
    _, again = taken
    again.begin(node="node2", device="cpu")
    told = AttemptsFile(again.running).read()
    assert [(one.node, one.how) for one in told] == [("node1", "failed"), ("node2", "running")]


def test_whoever_still_runs_it_writes_no_more_once_it_is_taken_over(tmp_path: Path) -> None:
    """The folder it writes to is gone, and the trial is another's."""
    made = trial()
    attempt = begun(tmp_path, made)
    late = LoneFolder(attempt.running, trial_id=made.id)
    late.begin(node="node1", device="cpu")
    gone(attempt)
    _, taken = next_run(tmp_path, made)
    assert taken is not None
    with pytest.raises(DiskError, match="the folder of a running trial is gone"):
        late.write(record(made))
    _, other = taken
    assert not list(other.running.iterdir())
    other.begin(node="node2", device="cpu")
    told = AttemptsFile(other.running).read()
    assert [(one.node, one.how) for one in told] == [("node1", "lost"), ("node2", "running")]


def test_nothing_finishes_between_the_look_and_the_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be told that its record is written, and the record be gone."""
    made = trial()
    attempt = begun(tmp_path, made)
    late = LoneFolder(attempt.running, trial_id=made.id)
    gone(attempt)
    refused: list[str] = []

    def look(folder: Path, *, trial_id: str) -> bool:
        found = has_finished(folder, trial_id=trial_id)
        try:
            late.write(record(made))
        except DiskError as error:
            refused.append(str(error))
        return found

    monkeypatch.setattr("bench.records.running.attempt.has_finished", look)
    next_run(tmp_path, made)
    assert refused


def test_a_run_that_lost_its_lease_leaves_a_finished_record_to_whoever_has_it(tmp_path: Path) -> None:
    made = trial()
    attempt = begun(tmp_path, made)
    command(attempt)
    other = Lease(folder=attempt.lease.folder, number=2, token="another")
    other.path.write_text(Holder.this_process(token="another").model_dump_json())
    with pytest.raises(LeaseError):
        attempt.take_in()
    adopting = Attempt(tmp_path, lease=other)
    adopting.start()
    assert Store(tmp_path).read(made.id) is not None


def test_a_stopped_run_keeps_what_finished_meanwhile(tmp_path: Path) -> None:
    made = trial()
    attempt = begun(tmp_path, made)
    command(attempt)
    attempt.end()
    shared, taken = next_run(tmp_path, made)
    assert taken is None
    assert len(shared) == 1


def test_where_it_runs_is_not_told_once_there_is_a_record(tmp_path: Path) -> None:
    attempt = begun(tmp_path, trial())
    command(attempt)
    attempt.locate(node="node1", device="GPU 0")
    assert not (attempt.running / "attempts.json").exists()
