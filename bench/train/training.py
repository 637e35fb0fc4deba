"""Runs one trial: train, evaluate, measure, record."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine.environment import environment, processor_load
from bench.machine.neighbours import Neighbours
from bench.plan.trial import Trial
from bench.records.files import FILES
from bench.records.record import START, Record, identity
from bench.records.store import EVENTS, Store, write_arrays, write_curve
from bench.tasks import DEFAULT_DATA
from bench.tasks.declarations import steps_per_epoch
from bench.train.clocks import Stopwatch
from bench.train.conditions import CARD, conditions, task_code
from bench.train.events import Events
from bench.train.gathered import DivergedError, Training, write_so_far
from bench.train.inference import inference_times
from bench.train.loop import CHECKED_BATCHES, Alive, Report, batches_checksum, train, train_batch
from bench.train.progress import Life
from bench.train.reported_step import reported_step_milliseconds
from bench.train.results import final_results
from bench.train.resumption import Resumption
from impls.contract import build_learner, describe_device
from impls.parameters import checksum as checksum_of
from impls.parameters import initial_parameters


def run_trial(
    trial: Trial,
    *,
    store: Store,
    data: Path = DEFAULT_DATA,
    threads: int = 0,
    report: Report | None = None,
    alive: Alive = lambda life: None,
    ends: Callable[[], None] = lambda: None,
    started: float | None = None,
    import_seconds: float | None = None,
) -> Record:
    """Trains and evaluates a trial, writes everything that it leaves, and returns its record.

    A loss that is not finite ends the trial with `status = "diverged"`. Any other error is the caller's to record.
    A trial that was stopped goes on from its newest checkpoint in the store's folder, where that was written under the
    same conditions; checkpoints go once the trial has a record that will not be run again.

    Args:
        trial: what to run.
        store: where to write.
        data: the folder of data sets.
        threads: of the framework; 0 leaves its default.
        report: called with the trial's progress now and then.
        alive: called where it shows life otherwise; until the first call it builds and compiles.
        ends: called when nothing is left to do but to write the record.
        started: `time.perf_counter()` when the trial's process began, so that what it imports is counted.
        import_seconds: what was imported before the process was forked took this long; None where nothing was.
    """
    started = time.perf_counter() if started is None else started
    load = processor_load()
    folder = store.folder_of(trial.id)
    folder.mkdir(parents=True, exist_ok=True)
    task = trial.build_task(data=data)
    protocol = trial.protocol
    training = Training(steps_per_epoch=steps_per_epoch(task, batch_size=protocol.batch_size))

    model = trial.model_spec(task)
    parameters = task.initial_values(initial_parameters(model, seed=trial.seed))
    learner = build_learner(
        trial.framework,
        model=model,
        optimizer=trial.optimizer_spec(),
        parameters=parameters,
        engine=trial.engine,
        device=trial.device,
        threads=threads,
    )
    of_card = {"gpu_libraries": describe_device(trial.framework).libraries} if trial.device == "cuda" else {}
    of_task = {"task_code": code} if (code := task_code(type(task))) else {}
    facts: dict[str, Any] = identity(trial, task=task) | {
        "implementation": learner.implementation,
        "threads": learner.threads,
        "parameters_checksum": checksum_of(parameters),
        "batches_checksum": batches_checksum(trial, task),
        "data_fingerprint": task.data_fingerprint(),
        "import_seconds": import_seconds,
        "environment": environment(threads=threads, device=trial.device) | of_card | of_task,
    }
    under = conditions(
        threads=learner.threads,
        checksums=" ".join(facts[name] for name in START if facts[name]),
        card=", ".join(facts["environment"][name] for name in CARD if facts["environment"].get(name)),
        of_task=of_task.get("task_code", ""),
    )
    alive(Life(computing=True, conditions=under))
    resumption = Resumption(
        folder,
        trial_id=trial.id,
        conditions=under,
        environment=facts["environment"],
        started=started,
    )
    if resumption.resume(training, learner):
        write_so_far(training, folder=folder, new_best=True)
    else:
        shutil.rmtree(folder / EVENTS, ignore_errors=True)
        for name in FILES:  # the record is to vouch for none of another run
            (folder / name).unlink(missing_ok=True)
    training.processor_load = max(training.processor_load, load)
    outcome: dict[str, Any] = {"status": "ok"}
    # Events of steps that are done again are taken back.
    purge_step = training.steps + 1 if training.steps else None
    with Events(folder / EVENTS, purge_step=purge_step) as events, Neighbours() as neighbours:
        training.look(neighbours)
        try:
            train(
                trial,
                task,
                learner,
                training,
                events=events,
                resumption=resumption,
                neighbours=neighbours,
                report=report,
                alive=alive,
            )
            alive(Life(computing=True))
            outcome |= final_results(trial, task, learner, training, folder=folder)
            timing = Stopwatch()
            with timing.running():
                outcome |= inference_times(trial, task, learner)
                batches = [train_batch(trial, task, step) for step in range(CHECKED_BATCHES)]
                outcome["reported_step_milliseconds"] = reported_step_milliseconds(learner, batches)
            outcome["timing_seconds"] = timing.seconds
        except DivergedError as error:
            outcome |= {"status": "diverged", "error": str(error), **training.best_so_far()}
        training.look(neighbours)

    write_curve(folder / "curve.csv", training.curve)
    stretches = resumption.stretches(training.steps)
    starts = [stretch.start_step for stretch in stretches]
    write_arrays(
        folder / "steps.npz",
        {
            "step_milliseconds": 1e3 * np.asarray(training.step_seconds(starts)),
            "wait_milliseconds": 1e3 * np.asarray(training.waiting.laps),
            "batch_milliseconds": 1e3 * np.asarray(training.batch_seconds),
        },
    )
    training.note_memory(learner.device_memory_bytes())
    record = Record(
        **facts,
        **outcome,
        **training.times(batch_size=protocol.batch_size, starts=starts),
        beside=training.beside,
        peak_memory_bytes=training.peak_memory_bytes,
        processor_load=training.processor_load,
        stretches=stretches,
        total_seconds=sum(stretch.seconds for stretch in stretches),
    )
    ends()
    resumption.end(store.write(record).parent)
    return record
