"""A trial that was stopped goes on where it was: same numbers, times that add up, and never on another footing."""

from __future__ import annotations

import csv
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.records.record import Record
from bench.records.store import Store
from bench.train import conditions as module_of_conditions
from bench.train import gathered, resumption, training
from bench.train import unfinished as module_of_unfinished
from bench.train.clocks import Stopwatch
from bench.train.gathered import Training
from bench.train.resumption import Resumption
from bench.train.unfinished import unfinished
from impls.contract import Batch, DeviceReport, StepResult
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import Known, KnownLearner, known_trial, outcomes

PROTOCOL = {"steps": 6, "evaluate_every": 2}
OUTCOMES = outcomes("validation", 0.1, 0.2, 0.3, 0.9, 0.5, 0.6) | outcomes("test", 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
LOSSES = {step: step / 7 for step in range(1, 7)}
CLOCKS = {"compile_seconds", "train_seconds", "evaluate_seconds", "total_seconds", "step_milliseconds"}
CLOCKS |= {"batch_milliseconds", "sequences_per_second", "peak_memory_bytes", "finished", "stretches"}
CLOCKS |= {"timing_seconds", "attempts", "import_seconds", "reported_step_milliseconds", "beside"}
CLOCKS |= {"processor_load", "wait_milliseconds", "inference_milliseconds", "inference_milliseconds_batch_1"}
CLOCKS |= {"files"}  # checksums, of files with times too; what the others hold is compared itself


class Stopped(BaseException):
    """As by Ctrl-C or the parent."""


class Stopping(KnownLearner):
    """Is stopped in a training step, counted from 1."""

    at = 0

    def train_step(self, batch: Batch, *, learning_rate: float | None = None) -> StepResult:
        if self.steps + 1 == self.at:
            raise Stopped
        return super().train_step(batch, learning_rate=learning_rate)


def learner(*, stopped_at: int = 0) -> KnownLearner:
    made = Stopping(outcomes=OUTCOMES, train_losses=LOSSES)
    made.at = stopped_at
    return made


@pytest.fixture
def folder(store: Store) -> Path:
    return store.folder_of(known_trial(protocol=PROTOCOL).id)


@pytest.fixture
def stopped(run_known: RunKnown) -> None:
    """A trial that was stopped in its sixth step."""
    with pytest.raises(Stopped):
        run_known(learner(stopped_at=6), protocol=PROTOCOL)


def left(folder: Path) -> dict[str, Any]:
    """The arrays and the curve that a trial left, but for its times."""
    found: dict[str, Any] = {}
    for name in ("best.npz", "final.npz", "gates.npz"):
        with np.load(folder / name, allow_pickle=False) as file:
            found |= {f"{name}/{key}": file[key].tolist() for key in file.files}
    rows = list(csv.DictReader((folder / "curve.csv").read_text().splitlines()))
    return found | {"curve": [{key: row[key] for key in row if key != "train_seconds"} for row in rows]}


def numbers(record: Record) -> dict[str, Any]:
    return record.model_dump(exclude=CLOCKS)


def test_a_stopped_trial_comes_to_what_it_would_have(
    stopped: None, run_known: RunKnown, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resumed = learner()
    record = run_known(resumed, protocol=PROTOCOL)
    assert capsys.readouterr().out == "the trial goes on after step 4\n"
    assert sum(len(batch.targets) == 4 and batch.inputs[0, 0, 0] == 0 for batch in resumed.batches) == 2, "steps 5, 6"
    found = left(folder)
    with np.load(folder / "steps.npz") as steps:
        assert steps["step_milliseconds"].shape == steps["batch_milliseconds"].shape == (6,)
    assert record.best_step == 4
    assert not list(folder.glob("checkpoint-*")), "they go once the record is written"

    (folder / "record.json").unlink()
    whole = run_known(learner(), protocol=PROTOCOL)
    assert [stretch.start_step for stretch in whole.stretches] == [0], "nothing is left to go on from"
    assert left(folder) == found
    assert numbers(record) == numbers(whole)


def test_times_add_up_and_each_stretch_tells_its_environment(stopped: None, run_known: RunKnown) -> None:
    record = run_known(learner(), protocol=PROTOCOL)
    first, second = record.stretches
    assert [(each.start_step, each.end_step) for each in (first, second)] == [(0, 4), (4, 6)]
    assert first.environment == second.environment == record.environment
    assert min(first.seconds, second.seconds) > 0
    assert record.total_seconds == first.seconds + second.seconds


def test_load_and_memory_are_the_most_of_all_processes(
    run_known: RunKnown, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are of all of them: a quiet end does not make them those of a quiet machine."""

    def runs(known: KnownLearner, *, load: float, memory: int) -> Record:
        monkeypatch.setattr(training, "processor_load", lambda: load)
        monkeypatch.setattr(gathered, "process_peak_memory_bytes", lambda: memory)
        return run_known(known, protocol=PROTOCOL)

    with pytest.raises(Stopped):
        runs(learner(stopped_at=4), load=32.0, memory=700)
    with pytest.raises(Stopped):
        runs(learner(stopped_at=6), load=0.5, memory=300)
    record = runs(learner(), load=2.0, memory=500)
    assert [stretch.start_step for stretch in record.stretches] == [0, 2, 4]
    assert (record.processor_load, record.peak_memory_bytes) == (32.0, 700)


def test_the_first_step_of_each_process_counts_as_compilation() -> None:
    training = Training(steps_per_epoch=1)
    training.first_step = Stopwatch(seconds=19.0, laps=[10.0, 9.0])
    training.later_steps = Stopwatch(seconds=6.0, laps=[1.0, 2.0, 3.0])
    training.waiting = Stopwatch(seconds=50.0, laps=[20.0, 1.0, 2.0, 30.0, 3.0])
    assert training.step_seconds([0, 3]) == [10, 1, 2, 9, 3]
    times = training.times(batch_size=4, starts=[0, 3])
    assert (times["compile_seconds"], times["step_milliseconds"]) == (19, 2000)
    assert times["wait_milliseconds"] == 2000, "the first batch of a process is always waited for"
    assert training.step_seconds([0, 1, 5]) == [10, 9, 1, 2, 3], "a process that only had the test to run"


def test_stopped_in_the_test_only_the_test_is_run_again(
    run_known: RunKnown, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(training, "final_results", stop)
        with pytest.raises(Stopped):
            run_known(learner(), protocol=PROTOCOL)
    resumed = learner(stopped_at=1)  # a training step would stop it
    record = run_known(resumed, protocol=PROTOCOL)
    assert record.status == "ok"
    assert [(each.start_step, each.end_step) for each in record.stretches] == [(0, 6), (6, 6)]


@pytest.mark.parametrize("at", [1, 3, 6])
def test_whatever_ends_a_trial_leaves_its_curve_and_best_parameters(at: int, run_known: RunKnown, folder: Path) -> None:
    with pytest.raises(Stopped):
        run_known(learner(stopped_at=at), protocol=PROTOCOL)
    if at == 1:  # nothing was evaluated yet
        assert not (folder / "curve.csv").exists()
        return
    rows = (folder / "curve.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == {3: ["2"], 6: ["2", "4"]}[at]
    with np.load(folder / "best.npz") as best:
        assert best["steps"] == {3: 2, 6: 4}[at]


def test_a_diverged_trial_leaves_them_too_and_no_checkpoint(run_known: RunKnown, folder: Path) -> None:
    record = run_known(KnownLearner(outcomes=OUTCOMES, train_losses={6: float("nan")}), protocol=PROTOCOL)
    assert record.status == "diverged"
    assert (record.best_step, record.validation_quality) == (4, OUTCOMES["validation", 4].quality)
    assert (folder / "best.npz").exists()
    assert len((folder / "curve.csv").read_text().splitlines()) == 3
    assert not list(folder.glob("checkpoint-*"))


def test_a_trial_that_starts_anew_vouches_for_no_file_of_another_run(run_known: RunKnown, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("final.npz", "gates.npz", "best.npz"):
        (folder / name).write_bytes(b"of a run that was killed")
    run_known(KnownLearner(outcomes=OUTCOMES, train_losses={1: float("nan")}), protocol=PROTOCOL)
    assert not [name for name in ("final.npz", "gates.npz", "best.npz") if (folder / name).exists()]


def test_what_was_left_stays_while_the_trial_goes_on(stopped: None, run_known: RunKnown, folder: Path) -> None:
    (folder / "curve.csv").unlink()  # another process's folder has the checkpoints alone
    with pytest.raises(Stopped):
        run_known(learner(stopped_at=5), protocol=PROTOCOL)
    assert len((folder / "curve.csv").read_text().splitlines()) == 3
    with np.load(folder / "best.npz") as best:
        assert best["steps"] == 4


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (module_of_conditions, "processor", "another processor"),
        (module_of_conditions, "processor_features", "other instructions"),
        (platform, "python_version", "4.0"),
        (module_of_conditions, "code_checksum", "another code"),
        (module_of_conditions, "package_versions", {"torch": "0.1"}),
        (training, "task_code", "another_package 0123456789abcdef"),
    ],
)
def test_other_conditions_start_anew_and_the_log_says_so(
    place: Any,
    name: str,
    value: Any,
    stopped: None,
    run_known: RunKnown,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    events = folder / "tensorboard" / "of-before"
    events.touch()
    monkeypatch.setattr(place, name, lambda *_: value)
    record = run_known(learner(), protocol=PROTOCOL)
    assert [stretch.start_step for stretch in record.stretches] == [0]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("checkpoint-4.npz was written under other conditions (")
    assert said[1].startswith("checkpoint-2.npz was written under other conditions (")
    assert said[2:] == ["the trial starts anew"]
    assert not events.exists()


@pytest.mark.parametrize("changes", [{}, {"gpu_driver": "581"}, {"gpu_libraries": "CUDA 13.0, Triton 3.9"}])
def test_on_a_card_its_driver_and_libraries_are_conditions(
    changes: dict[str, str], run_known: RunKnown, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"gpu": "H100", "gpu_driver": "580", "gpu_libraries": "CUDA 13.0, Triton 3.6"}

    def runs(known: KnownLearner, told: dict[str, str]) -> Record:
        report = DeviceReport(
            framework="pytorch", version="2", cuda_devices=("H100",), problem="", libraries=told["gpu_libraries"]
        )
        monkeypatch.setattr(training, "describe_device", lambda framework: report)
        monkeypatch.setattr(training, "environment", lambda **_: {name: told[name] for name in ("gpu", "gpu_driver")})
        return run_known(known, protocol=PROTOCOL, device="cuda")

    with pytest.raises(Stopped):
        runs(learner(stopped_at=6), told)
    record = runs(learner(), told | changes)
    assert record.environment["gpu_libraries"] == (told | changes)["gpu_libraries"]
    assert [stretch.start_step for stretch in record.stretches] == ([0] if changes else [0, 4])


@pytest.mark.parametrize(("code", "steps"), [("", 4), ("another_package 0123456789abcdef", None)])
def test_a_run_that_did_not_come_to_train_left_no_steps_of_other_code(
    code: str, steps: int | None, run_known: RunKnown, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (training, module_of_unfinished):
        monkeypatch.setattr(module, "task_code", lambda task: "")
    with pytest.raises(Stopped):
        run_known(learner(stopped_at=6), protocol=PROTOCOL)
    monkeypatch.setattr(module_of_unfinished, "task_code", lambda task: code)
    trial = known_trial(protocol=PROTOCOL)
    record = unfinished(trial, folder=folder, conditions=None, status="failed", error="MemoryError")
    assert (record.status, record.steps) == ("failed", steps)


class Edited(Known):
    """Other data, whose first batches are the same."""

    def data_fingerprint(self) -> str:
        return "another"


def test_other_data_start_anew_though_the_first_batches_are_the_same(
    stopped: None, run_known: RunKnown, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_known(learner(), task=Edited, protocol=PROTOCOL)
    assert [stretch.start_step for stretch in record.stretches] == [0]
    assert capsys.readouterr().out.endswith("the trial starts anew\n")


def test_another_number_of_threads_starts_anew(stopped: None, run_known: RunKnown) -> None:
    other = learner()
    other.threads = 2
    assert [stretch.start_step for stretch in run_known(other, protocol=PROTOCOL).stretches] == [0]


def test_between_evaluations_a_checkpoint_is_never_older_than_the_interval(
    run_known: RunKnown, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = PROTOCOL | {"evaluate_every": 100}
    for interval, steps in ((0.0, {3, 4}), (60.0, set())):
        monkeypatch.setattr(resumption, "INTERVAL_SECONDS", interval)
        with pytest.raises(Stopped):
            run_known(learner(stopped_at=5), protocol=protocol)
        place = folder.parent / known_trial(protocol=protocol).id
        assert {int(path.stem.partition("-")[2]) for path in place.glob("checkpoint-*")} == steps
        for path in place.glob("checkpoint-*"):
            path.unlink()


@pytest.mark.parametrize("at", range(2, 7))
def test_losses_since_the_last_evaluation_are_kept(
    at: int, run_known: RunKnown, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the mean training loss of the next row would be of the steps after the stop alone."""
    monkeypatch.setattr(resumption, "INTERVAL_SECONDS", 0.0)
    protocol = PROTOCOL | {"evaluate_every": 100}
    with pytest.raises(Stopped):
        run_known(learner(stopped_at=at), protocol=protocol)
    record = run_known(learner(), protocol=protocol)
    assert [(each.start_step, each.end_step) for each in record.stretches] == [(0, at - 1), (at - 1, 6)]
    (row,) = csv.DictReader((store.folder_of(record.trial_id) / "curve.csv").read_text().splitlines())
    assert float(row["train_loss"]) == np.mean(list(LOSSES.values()))


def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path: Path) -> None:
    kept = Resumption(tmp_path, trial_id="mine", conditions={}, environment={}, started=0.0)
    training = Training(steps_per_epoch=1, curve=[{"step": {1, 2}}])
    with pytest.raises(TypeError, match="gathered/curve/0/step: a checkpoint cannot hold a set"):
        kept.write(training, KnownLearner(), step=1)
    assert not list(tmp_path.iterdir())
