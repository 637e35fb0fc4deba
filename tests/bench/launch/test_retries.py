"""What is the machine's is tried again, what is the trial's is not, and the record tells of every attempt."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import psutil
import pytest

from bench.launch.executor import Ended
from bench.launch.local.local_executor import LocalExecutor
from bench.launch.process.recorded import is_out_of_memory
from bench.launch.scheduler import Running, run_trials
from bench.launch.waiting import Waiting
from bench.machine.processes import machine_name
from bench.plan.trial import Trial
from bench.records.record import Record, failure
from bench.records.running.attempt import Attempt
from bench.records.running.leases import Holder, take_lease
from bench.records.store import Store
from bench.train.progress import Progress
from tests.bench.launch.attending import Attended, Attending
from tests.bench.launch.test_endings import checkpoints, ended, send_all, trial
from tests.bench.launch.test_launch import Watcher, children, servers


def run(trials: list[Trial], store: Store, watcher: Watcher, *, retries: int, workers: int = 1) -> None:
    executor = LocalExecutor(workers=workers, data=Path("data"))
    run_trials(trials, executor=executor, store=store, display=watcher, retries=retries)


def hows(record: Record | None) -> list[str]:
    assert record is not None
    return [attempt.how for attempt in record.attempts]


class Killing(Watcher):
    """Kills a trial so often, each time once it has written one more checkpoint."""

    def __init__(self, results: Path, *, times: int) -> None:
        super().__init__()
        self._results = results
        self._left = times
        self._seen: set[str] = set()

    def progressed(self, trial: Trial, progress: Progress) -> None:
        super().progressed(trial, progress)
        new = {path.name for path in checkpoints(self._results)} - self._seen
        if self._left and new:
            self._seen |= new
            self._left -= 1
            send_all(signal.SIGKILL, children())


def test_a_killed_trial_goes_on_behind_the_others_and_tells_of_each_attempt(tmp_path: Path) -> None:
    store, victim, other = Store(tmp_path), trial(steps=400), trial(steps=5, seed=1)
    watcher = Killing(tmp_path, times=1)
    run([victim, other], store, watcher, retries=1)
    record = store.read(victim.id)
    assert record is not None
    assert record.status == "ok"
    assert hows(record) == ["killed", "ok"]
    first, second = record.attempts
    assert "SIGKILL" in first.error
    assert not second.error
    assert first.started < first.ended < second.started < second.ended <= record.finished
    assert {(attempt.node, attempt.device) for attempt in record.attempts} == {(socket.gethostname(), "cpu")}
    assert len(record.stretches) == 2, "it went on from its checkpoint"
    told = [event for event in watcher.events if event[0] != "progressed"]
    assert told == [
        ("started", victim.id),
        ("put back", victim.id),
        ("started", other.id),
        ("finished", other.id),
        ("started", victim.id),
        ("finished", victim.id),
    ]
    assert watcher.reasons == [f"{first.error}; it is tried again (1 of 1)"]
    assert hows(store.read(other.id)) == ["ok"]
    assert not (store.folder_of(victim.id) / "attempts.json").exists()


@pytest.mark.slow
def test_retries_come_to_an_end_and_the_next_run_adds_to_them(tmp_path: Path) -> None:
    store, victim = Store(tmp_path), trial(steps=400)
    run([victim], store, Killing(tmp_path, times=2), retries=1)
    record = store.read(victim.id)
    assert record is not None
    assert record.status == "failed"
    assert hows(record) == ["killed", "killed"]
    run([victim], store, Watcher(), retries=0)
    assert hows(store.read(victim.id)) == ["killed", "killed", "ok"]


@pytest.mark.usefixtures("endless")
def test_a_command_that_somebody_else_asked_to_end_was_killed(tmp_path: Path) -> None:
    """Which is the machine's, and tried again where it may be."""

    def ask(_: Trial) -> None:
        send_all(signal.SIGTERM, [child for child in psutil.Process().children() if "--attended" in child.cmdline()])

    store, made = Store(tmp_path / "results"), trial()
    run_trials([made], executor=Attending(tmp_path / "data"), store=store, display=Watcher(ask))
    record = store.read(made.id)
    assert record is not None
    assert (record.status, record.error) == ("failed", "the trial's process was asked to end by SIGTERM, from outside")
    assert hows(record) == ["killed"]


def test_how_a_command_ended_is_told_by_whoever_attended_to_it(tmp_path: Path) -> None:
    """Itself it knows no more than that it was asked to; an earlier attempt that the user stopped stays so."""
    store, made, watcher = Store(tmp_path), trial(), Watcher()
    for how in ("stopped", "timeout"):
        lease = take_lease(tmp_path, made.id)
        assert lease is not None
        attempt = Attempt(tmp_path, lease=lease)
        attempt.start()
        attempt.begin(node="here", device="cpu")
        attempt.close("stopped", "it was asked to end")
        (attempt.running / "checkpoint-1.npz").touch()
        if how == "stopped":
            attempt.end()
    waiting = Waiting([], store=store, before={}, command="", workers=1)
    running = Running(Attending(tmp_path), waiting=waiting, store=store, display=watcher)
    handle = Attended(trial=made, attempt=attempt)
    running._end(Ended(handle=handle, status="timeout", how="timeout", error="too long", conditions=None))
    record = store.read(made.id)
    assert record is not None
    assert [(attempt.how, attempt.error) for attempt in record.attempts] == [
        ("stopped", "it was asked to end"),
        ("timeout", "too long"),
    ]


def test_an_error_for_want_of_memory_is_known_by_its_reason_too() -> None:
    class ResourceExhaustedError(Exception):
        """As TensorFlow's is called."""

    wrapped = RuntimeError("the step failed")
    wrapped.__cause__ = ResourceExhaustedError("OOM when allocating tensor")
    assert is_out_of_memory(wrapped)
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def called(name: str, text: str) -> BaseException:
    """An error of a type that is called so, as a framework's."""
    kind: type[BaseException] = type(name, (RuntimeError,), {})
    return kind(text)


@pytest.mark.parametrize(
    "error",
    [
        called("OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 GiB."),
        called("AcceleratorError", "CUDA error: out of memory\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"),
        called("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        called("RuntimeError", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        called("RuntimeError", "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
        called("RuntimeError", "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        called("RuntimeError", "Triton Error [CUDA]: out of memory"),
        called("ResourceExhaustedError", "{{function_node __wrapped__Mul}} failed to allocate memory [Op:Mul]"),
        called("InternalError", "RESOURCE_EXHAUSTED: Failed to allocate request for 2.00GiB on device ordinal 0"),
        called("InternalError", "failed to load the module: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        called("XlaRuntimeError", "Out of memory while trying to allocate 8589934592 bytes."),
        MemoryError("Unable to allocate 8.00 GiB for an array"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:60],
)
def test_want_of_memory_is_known_as_each_library_says_it(error: BaseException) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("not enough memory cells"),
        ValueError("the lattice runs out of memory cells"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
        called("OutOfResources", "out of resource: shared memory, Required: 262144, Hardware limit: 232448."),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:60],
)
def test_what_mentions_memory_is_no_want_of_it(error: BaseException) -> None:
    """A kernel that asks for more than the card has would do so again."""
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ('RuntimeError("Triton Error [CUDA]: out of memory")', ["out_of_memory"] * 2),
        ('ValueError("not enough memory cells")', ["failed"]),
    ],
)
def test_a_card_without_memory_is_tried_again_and_a_trials_own_error_is_not(
    raised: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(f"raise {raised}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    store, made = Store(tmp_path / "results"), trial(steps=5)
    run([made], store, Watcher(), retries=1)
    record = store.read(made.id)
    assert record is not None
    assert record.status == "failed"
    assert record.error == raised.replace('("', ": ").replace('")', "")
    assert hows(record) == told


def test_trials_that_wait_for_the_import_of_a_stopped_one_wait_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one over its time takes the process that imports with it; the other is no failure."""
    monkeypatch.setattr("bench.launch.scheduler.HEARTBEAT_SECONDS", 0.2)
    store, lost, other = Store(tmp_path), trial(steps=5), trial(steps=5, seed=1)

    class Losing(Watcher):
        def started(self, trial: Trial) -> None:
            super().started(trial)
            if trial.id == other.id and ("put back", other.id) not in self.events:
                send_all(signal.SIGSTOP, servers())  # so that it is still importing when its first trial is stopped
                gone = Holder(machine=machine_name(), process_id=ended(), process_start=0, token="another")
                (tmp_path / "leases" / lost.id / "2.json").write_text(gone.model_dump_json())

    watcher = Losing()
    run([lost, other], store, watcher, retries=0, workers=2)
    assert hows(store.read(other.id)) == ["ok"]
    assert hows(store.read(lost.id)) == ["ok"]
    assert "it waited for an import that was stopped together with another trial" in watcher.reasons


@pytest.mark.usefixtures("learns_nothing")
def test_the_attempt_of_a_run_that_was_killed_is_told_as_lost(tmp_path: Path) -> None:
    made = trial(steps=5)
    lease = take_lease(tmp_path, made.id)
    assert lease is not None
    gone = Attempt(tmp_path, lease=lease)
    gone.start()
    gone.begin(node="elsewhere", device="GPU 3")
    lease.release(finished=False)
    run([made], Store(tmp_path), Watcher(), retries=0)
    record = Store(tmp_path).read(made.id)
    assert record is not None
    assert hows(record) == ["lost", "ok"]
    assert (record.attempts[0].node, record.attempts[0].device, record.attempts[0].ended) == ("elsewhere", "GPU 3", "")


def test_a_record_that_is_taken_in_keeps_its_own_attempts(tmp_path: Path) -> None:
    made = trial(steps=5)
    lease = take_lease(tmp_path, made.id)
    assert lease is not None
    attempt = Attempt(tmp_path, lease=lease)
    attempt.start()
    attempt.write(failure(made, status="failed", error="of another folder"))
    attempt.end()
    assert hows(Store(tmp_path).read(made.id)) == []
