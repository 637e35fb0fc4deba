"""What trains a trial's command where `instead/` is in PYTHONPATH: the learner that learns nothing, at its leisure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from bench.launch.process.heard import Message
from bench.plan.trial import Trial
from bench.records.running.attempt import Attempt
from bench.records.running.lone_folder import LoneFolder
from tests.faults.fake_learner import learn

# Seconds that a step takes: long enough for something to happen meanwhile.
STEP_SECONDS = 0.4
# Of a checkpoint, in numbers: Ray keeps what is larger than 100 KiB on the node until it is asked for.
BALLAST = 20_000
# Names a folder. A trial waits before or after its record for as long as a file of this name is there, and says so.
VARIABLE = "SKIPRNN_FAULTS_HOLD"
BEFORE, AFTER, REACHED = "before", "after", "reached"


def run_trial(
    trial: Trial, *, store: Attempt | LoneFolder, report: Callable[[Message], None], **others: object
) -> None:
    learn(
        trial,
        store,
        report=report,
        step_seconds=STEP_SECONDS,
        before_record=lambda: hold(BEFORE),
        ballast=BALLAST,
    )
    hold(AFTER)


def hold(when: str) -> None:
    told = os.environ.get(VARIABLE)
    while told is not None and (Path(told) / when).exists():
        (Path(told) / REACHED).touch()
        time.sleep(0.05)
