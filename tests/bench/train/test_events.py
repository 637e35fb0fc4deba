"""What TensorBoard is shown of a trial: which numbers, at which steps."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.tensorflow_stub.errors import OutOfRangeError
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

from bench.errors import DiskError
from bench.train import training
from bench.train.events import Events
from tests.bench.disks import SmallDisk
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import LENGTH, KnownLearner, Outcome

STEPS = 24
LOSSES = {step: step / 32 for step in range(1, STEPS + 1)}
OUTCOMES = {("validation", step): Outcome(quality=step / 100, loss=step / 64, updates=4) for step in (8, 16, 24)}
PROTOCOL = {"steps": STEPS, "evaluate_every": 8, "learning_rate": 0.5, "learning_rate_schedule": "linear"}


class Shown:
    """Stands where the events' writer stands, and keeps `{name: {step: value}}`."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[int, float]] = defaultdict(dict)
        self.purged_from: list[int | None] = []

    def __call__(self, folder: Path, *, purge_step: int | None) -> Shown:
        assert folder.name == "tensorboard"
        self.purged_from.append(purge_step)
        return self

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.shown[name][step] = value

    def flush(self) -> None:
        return


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Shown:
    made = Shown()
    monkeypatch.setattr(training, "Events", made)
    return made


def test_training_is_shown_every_tenth_step_and_at_the_last(events: Shown, run_known: RunKnown) -> None:
    run_known(KnownLearner(outcomes=OUTCOMES, train_losses=LOSSES), protocol=PROTOCOL)
    shown = {name: values for name, values in events.shown.items() if name.startswith("train/")}
    assert shown == {
        "train/loss": {step: LOSSES[step] for step in (10, 20, 24)},
        "train/budget_loss": dict.fromkeys((10, 20, 24), 0.0),
        "train/update_ratio": dict.fromkeys((10, 20, 24), 2 / LENGTH),
        "train/learning_rate": {step: pytest.approx(0.5 * (1 - (step - 1) / (STEPS - 1))) for step in (10, 20, 24)},
    }


def test_validation_is_shown_at_each_evaluation(events: Shown, run_known: RunKnown) -> None:
    run_known(KnownLearner(outcomes=OUTCOMES, train_losses=LOSSES), protocol=PROTOCOL)
    assert events.shown["validation/quality"] == {8: 0.08, 16: 0.16, 24: 0.24}
    assert events.shown["validation/loss"] == {8: 8 / 64, 16: 16 / 64, 24: 24 / 64}
    assert events.shown["validation/update_ratio"] == dict.fromkeys((8, 16, 24), 0.5)


def test_what_is_done_again_is_shown_once(events: Shown, run_known: RunKnown, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that was stopped after its checkpoint of step 8 takes back what it showed later."""

    def stop(name: str) -> None:
        if name == "train_step" and stopped.steps == 12:
            raise KeyboardInterrupt

    stopped = KnownLearner(outcomes=OUTCOMES, train_losses=LOSSES, called=stop)
    with pytest.raises(KeyboardInterrupt):
        run_known(stopped, protocol=PROTOCOL)
    run_known(KnownLearner(outcomes=OUTCOMES, train_losses=LOSSES), protocol=PROTOCOL)
    assert events.purged_from == [None, 9]


def written(path: Path) -> list[Event]:
    """What TensorBoard reads, its checksums compared."""
    reader, found = PyRecordReader_New(str(path)), []
    while True:
        try:
            reader.GetNext()
        except OutOfRangeError:
            return found
        found.append(Event.FromString(reader.record()))


def test_a_file_of_events_is_read_by_tensorboard_in_order(tmp_path: Path) -> None:
    with Events(tmp_path) as events:
        events.add_scalar("train/loss", 0.5, 10)
        events.flush()
        (first,) = tmp_path.iterdir()
        assert len(written(first)) == 2, "it is shown while the trial goes on"
    with Events(tmp_path, purge_step=5) as events:
        events.add_scalar("train/loss", 0.25, 10)
    files = sorted(tmp_path.iterdir())
    assert files[0] == first, "a later process's file is read later"
    version, scalar = written(first)
    assert version.file_version == "brain.Event:2"
    assert (scalar.step, scalar.summary.value[0].tag, scalar.summary.value[0].simple_value) == (10, "train/loss", 0.5)
    _, purged, again = written(files[1])
    assert (purged.step, purged.session_log.status) == (5, SessionLog.START)
    assert again.summary.value[0].simple_value == 0.25


def test_events_on_a_full_disk_are_one_line(small_disk: SmallDisk) -> None:
    events = Events(small_disk.place)
    small_disk.fill()
    events.add_scalar("train/loss", 0.5, 10)
    with pytest.raises(DiskError, match=r"tfevents.*the disk is full"), events:
        events.flush()
