"""The record of a trial: what was asked, what came out, what it cost and stood on; the only thing that reports read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.plan.trial import Trial
from bench.records.attempted import Attempted
from bench.records.files import FileName
from bench.records.stretch import Stretch
from bench.tasks import DEFAULT_DATA
from bench.tasks.base import Reported, Task
from bench.tasks.declarations import size

Status = Literal["ok", "diverged", "failed", "timeout"]
FINISHED: tuple[Status, ...] = ("ok", "diverged")
# What a trial begins with: were one of these another, it would be another trial.
START = ("parameters_checksum", "batches_checksum", "data_fingerprint")


class Record(BaseModel):
    """One trial's result: the trial itself, then what came of it.

    Numbers without a prefix are of the test data, at the evaluation that `reported` names; `best_…` are those with the
    parameters that were best on validation, `final_…` those after the last step. Updates are counted per sequence, over
    real steps.
    """

    model_config = ConfigDict(extra="forbid")

    # Who
    trial: Trial = Field(description="everything that decides the result, defaults included")
    trial_id: str = Field(description="the trial's hash")
    pair_id: str = Field(description="the same for trials that differ in the framework alone")
    # What its task is
    task_options: dict[str, Any] = Field(description="the task's options, defaults included")
    length: int = Field(
        description="time steps of a sequence, padding included; 0 of a trial that failed since its task cannot tell"
    )
    quality_metric: str
    higher_is_better: bool
    reported: Reported = Field(
        description="the evaluation that quality, loss, updates and FLOPs are of: last (after the last training step) "
        "or best_validation (with the parameters that were best on validation)",
    )
    # What came out
    status: Status
    error: str = Field(default="", description="one line; empty where status is ok")
    traceback: str = ""
    quality: float | None = None
    solved: bool | None = Field(default=None, description="None for tasks without a criterion")
    loss: float | None = Field(default=None, description="the task's loss, without the budget's")
    update_ratio: float | None = Field(default=None, description="mean over sequences of updates / steps")
    update_ratio_std: float | None = Field(default=None, description="standard deviation over sequences")
    updates: float | None = None
    updates_std: float | None = None
    validation_quality: float | None = Field(default=None, description="on validation data, at best_step")
    best_step: int | None = Field(default=None, description="training steps done at the best validation")
    best_quality: float | None = None
    best_loss: float | None = None
    best_update_ratio: float | None = None
    best_updates: float | None = None
    final_quality: float | None = None
    final_loss: float | None = None
    final_update_ratio: float | None = None
    final_updates: float | None = None
    # What it cost
    implementation: str = Field(
        default="",
        description="what the engine ran by device and type: reference, kernels, tiles, operations, rounds, native",
    )
    flops_per_sequence: float | None = Field(default=None, description="published formula × updates")
    work_per_sequence: float | None = Field(
        default=None, description="multiply–accumulates that the implementation did in the same products"
    )
    steps: int | None = Field(default=None, description="training steps done")
    steps_per_epoch: int | None = Field(default=None, description="1 for generated data")
    compile_seconds: float | None = Field(default=None, description="the first training step of each process")
    train_seconds: float | None = Field(default=None, description="all later training steps")
    evaluate_seconds: float | None = Field(
        default=None, description="all evaluations: the learner's part, without making batches, scoring and files"
    )
    timing_seconds: float | None = Field(
        default=None, description="passes timed after training, with what is compiled for them alone"
    )
    total_seconds: float | None = Field(
        default=None, description="the trial's processes; without import_seconds, where those are told"
    )
    import_seconds: float | None = Field(
        default=None,
        description="what the import of the framework took before the process was forked, once for all trials of the "
        "command that tell the same; None where it is in total_seconds",
    )
    step_milliseconds: float | None = Field(
        default=None,
        description="median over training steps but each process's first; None where there is no other",
    )
    reported_step_milliseconds: float | None = Field(
        default=None, description="median training step at the reported parameters, timed after training"
    )
    wait_milliseconds: float | None = Field(
        default=None, description="mean wait for a training batch but the first; in no step's time"
    )
    batch_milliseconds: float | None = Field(default=None, description="median time to make one batch")
    sequences_per_second: float | None = Field(default=None, description="batch size / median step")
    inference_milliseconds: float | None = Field(
        default=None, description="median evaluation of one test batch after training, at the reported parameters"
    )
    inference_milliseconds_batch_1: float | None = Field(
        default=None, description="the same of single test sequences, each a batch of its own"
    )
    peak_memory_bytes: int | None = Field(
        default=None, description="of the GPU, or of the process on the CPU; of several stretches the most"
    )
    # What it stood on
    parameters_checksum: str = ""
    batches_checksum: str = Field(default="", description="of the first three training batches")
    threads: int | None = Field(default=None, description="how many the framework's operators could use")
    data_fingerprint: str = Field(default="", description="of the data set's content; empty for generated data")
    command: str = Field(default="", description="the command line that ran the trial")
    workers: int | None = Field(default=None, description="trials at a time of that command")
    processor_load: float | None = Field(
        default=None,
        description="processes that ran or waited to, mean of the minute before the trial started; of several "
        "stretches the most",
    )
    beside: int | None = Field(
        default=None, description="the most other trials that ran on the machine at the same time; 0 is alone"
    )
    environment: dict[str, Any] = Field(default_factory=dict)
    stretches: tuple[Stretch, ...] = Field(
        default=(), description="one for each process that the trial took: it may have been stopped and gone on"
    )
    attempts: tuple[Attempted, ...] = Field(
        default=(), description="one for each time that the trial was started: when, where and how it ended"
    )
    finished: str = Field(default="", description="when the record was written, UTC")
    files: dict[FileName, str] = Field(
        default_factory=dict, description="SHA-256 of the files beside the record; empty in older records"
    )


def failure(trial: Trial, *, status: Status, error: str, traceback: str = "", data: Path = DEFAULT_DATA) -> Record:
    """The record of a trial that did not end by itself; also of one whose task may be what failed.

    `data` is the folder of data sets, which the length may depend on.
    """
    ended: dict[str, Any] = {"status": status, "error": error, "traceback": traceback}
    try:
        return Record(**identity(trial, task=trial.build_task(data=data)), **ended)
    except Exception:  # whatever the code of another package raises, or says that no record holds
        return Record(**unasked(trial), **ended)


def identity(trial: Trial, *, task: Task | None = None) -> dict[str, Any]:
    """The fields of a record that say which trial it is of.

    `task` is the trial's, built on its data; without it one is built on none, which is enough where no data tell the
    length. Raises `UserError` where the task cannot tell it.
    """
    task = trial.build_task() if task is None else task
    return {
        "trial": trial,
        "trial_id": trial.id,
        "pair_id": trial.pair_id(),
        "task_options": task.options.model_dump(mode="json"),
        "length": size(task, "length"),
        "quality_metric": task.quality_metric,
        "higher_is_better": task.higher_is_better,
        "reported": task.reported,
    }


def unasked(trial: Trial) -> dict[str, Any]:
    """The same fields of a trial whose task cannot be asked: what it would tell is left empty."""
    return {
        "trial": trial,
        "trial_id": trial.id,
        "pair_id": trial.pair_id(),
        "task_options": {},
        "length": 0,
        "quality_metric": "",
        "higher_is_better": True,
        "reported": "last",
    }
