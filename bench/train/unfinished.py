"""The record of a trial that did not end by itself: what its newest checkpoint tells of what it did and took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plan.trial import Trial
from bench.records.record import Record, Status, failure
from bench.tasks import DEFAULT_DATA, task_class
from bench.train.checkpoint import newest_checkpoint
from bench.train.conditions import TASK_CODE, code_checksum, task_code
from bench.train.gathered import Training
from bench.train.resumption import gathered_in


def unfinished(
    trial: Trial,
    *,
    folder: Path,
    conditions: Mapping[str, str] | None,
    status: Status,
    error: str,
    traceback: str = "",
    data: Path = DEFAULT_DATA,
) -> Record:
    """The record, with the steps, times and stretches until the checkpoint; without one it has none.

    Args:
        trial: which.
        folder: where its checkpoints are.
        conditions: those of the run that ended; a checkpoint of others is none of its. None is a run that did not come
            so far, and left what an earlier one did, if that was of the same code.
        status, error, traceback: how it ended.
        data: the folder of data sets.
    """
    record = failure(trial, status=status, error=error, traceback=traceback, data=data)
    return record.model_copy(update=_so_far(trial, folder=folder, conditions=conditions))


def _so_far(trial: Trial, *, folder: Path, conditions: Mapping[str, str] | None) -> dict[str, Any]:
    # Why one is left out is told in the log by the run that would go on from it.
    checkpoint = newest_checkpoint(folder, trial_id=trial.id, conditions=conditions, say=lambda line: None)
    if checkpoint is None:
        return {}
    theirs = checkpoint.header.conditions
    if theirs.get("code") != code_checksum():
        return {}
    if conditions is None and theirs.get(TASK_CODE, "") != task_code(task_class(trial.task)):
        return {}
    training = Training(**gathered_in(checkpoint))
    stretches = checkpoint.header.stretches
    facts = training.times(batch_size=trial.protocol.batch_size, starts=[stretch.start_step for stretch in stretches])
    return facts | {
        **training.best_so_far(),
        "stretches": stretches,
        "total_seconds": sum(stretch.seconds for stretch in stretches),
        "environment": stretches[-1].environment,
    }
