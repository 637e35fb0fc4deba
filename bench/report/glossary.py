"""What the columns mean: the record's own descriptions, and those of what a report adds."""

from __future__ import annotations

from collections.abc import Iterable

from bench.plan.trial import Trial
from bench.records.record import Record

# Columns that a report derives, and record fields whose names leave something to say.
MEANINGS = {
    "cell": "recurrent cell; skip_ cells learn when to update their state and copy it otherwise",
    "units": "size of the state; one number a layer",
    "engine": "how the time loop runs: reference (the equations, step by step), fast, native (the framework's layer)",
    "precision": "of the matrix products: float32, or their operands rounded to TF32 or bfloat16; all else is float32",
    "p_skip": "the random-skip baseline: each step is skipped with this probability",
    "period": "the periodic-skip baseline: the first step updates, then every period-th after it; 1 is every step",
    "seeds": "trials behind a row; “2 of 3” where only two ended ok, and behind a time where only two of these have it",
    "status": "ok, diverged (a loss or the quality stopped being finite), failed, timeout, or missing (no record yet)",
    "quality": "the metric on test data, at the evaluation that stands beside it; accuracies and precisions in percent",
    "metric": "what quality is; ↑ where higher is better, ↓ where lower is",
    "solved": "how many of the finished trials met the task's published criterion",
    "updates": "state updates of a test sequence: the samples that were used",
    "update_ratio": "updates / steps in percent, the mean over test sequences; 100 where nothing is skipped",
    "budget_cost": "the price of one update in the training loss",
    "step_milliseconds": "the median training step of the whole run but the first; updates change while a trial trains",
    "reported_step_milliseconds": "the median training step at the reported parameters, timed after training: the time "
    "that belongs to the updates beside it",
    "company": "alone on the machine, or beside how many other trials at most; mixed where that, how busy the machine "
    "was, the machine or the framework's version is not the same of all, and then a mean of their times, marked †, is "
    "not to be compared",
    "pair": "two trials that differ in the framework alone, with the same initial parameters and batches",
}

# Explained on every page: labels and sentences use them.
TERMS = ("budget_cost", "p_skip", "pair")

EVALUATIONS = {
    "last": "after the last training step",
    "best_validation": "with the parameters that were best on validation",
}


def evaluation_words(reported: Iterable[str]) -> str:
    """At which evaluation the numbers of these records were taken, to follow "on test data"."""
    return " or ".join(EVALUATIONS[name] for name in dict.fromkeys(reported))


def glossary(columns: Iterable[str]) -> list[tuple[str, str]]:
    """(column, meaning) for the columns that need one, in their order; terms that are no columns come last."""
    described = {
        name: field.description
        for name, field in (Trial.model_fields | Record.model_fields).items()
        if field.description
    }
    meanings = {**described, **MEANINGS}
    names = [name for name in columns if name in meanings]
    return [(name, meanings[name]) for name in [*names, *(term for term in TERMS if term not in names)]]
