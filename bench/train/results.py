"""What a trained model comes to on the test data, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.plan.trial import Trial
from bench.records.store import write_arrays
from bench.tasks.base import Reported, Task
from bench.train.evaluation import KEPT_SEQUENCES, Evaluated, evaluate
from bench.train.flops import published_flops
from bench.train.gathered import Training, check_finite
from impls.contract import Array, Learner, Parameters
from impls.work import multiplies_padding, work_macs


def final_results(trial: Trial, task: Task, learner: Learner, training: Training, *, folder: Path) -> dict[str, Any]:
    """Test results after the last step and at the best validation; writes both sets of parameters and some gates.

    The plain fields, the work and the gates are those of the evaluation that the task reports; the learner is left with
    its parameters. Raises `DivergedError` where a loss or quality on test data is no finite number.
    """
    assert training.best is not None
    assert training.best_parameters is not None
    parameters: dict[Reported, Parameters] = {
        "last": learner.export_parameters(),
        "best_validation": training.best_parameters,
    }
    write_arrays(folder / "final.npz", parameters["last"])
    write_arrays(folder / "best.npz", parameters["best_validation"])
    tested: dict[Reported, Evaluated] = {}
    for evaluation in sorted(parameters, key=lambda name: name == task.reported):  # the reported one last
        kept: dict[str, list[Array]] = {}
        learner.load_parameters(parameters[evaluation])
        tested[evaluation] = evaluate(trial, task, learner, "test", clock=training.evaluation, kept=kept)
        step = training.steps if evaluation == "last" else training.best_step
        check_finite(tested[evaluation].judged("test"), step=step)
    reported = tested[task.reported]
    write_arrays(
        folder / "gates.npz",
        {name: np.concatenate(arrays)[:KEPT_SEQUENCES] for name, arrays in kept.items()},
    )
    fields: dict[str, Any] = reported.fields()
    solved = task.solved(reported.quality)
    return {
        **fields,
        "solved": None if solved is None else bool(solved),
        **training.best_so_far(),
        **tested["best_validation"].fields_of_both("best"),
        **tested["last"].fields_of_both("final"),
        **work(
            trial,
            task,
            updates=fields["updates"],
            real_steps=float(reported.steps.mean()),
            implementation=learner.implementation,
        ),
    }


def work(trial: Trial, task: Task, *, updates: float, real_steps: float, implementation: str) -> Mapping[str, float]:
    """The published count, and the multiply–accumulates that the implementation really did in the same products."""
    cell = trial.model_spec(task).cell
    padded = multiplies_padding(cell, framework=trial.framework, device=trial.device, implementation=implementation)
    steps = float(task.length) if padded else real_steps
    return {
        "flops_per_sequence": published_flops(
            trial.cell,
            input_size=task.input_size,
            units=trial.units,
            updates=updates,
            encoder_macs_per_step=task.encoder_macs_per_step,
        ),
        "work_per_sequence": work_macs(cell, updates_per_sequence=updates, steps=steps, implementation=implementation),
    }
