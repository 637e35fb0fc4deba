"""Names for people: of cells, tasks, frameworks, metrics, variants and columns. CSV files keep the record's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.report.numbers import DIGITS, exact, number

CELLS = {"lstm": "LSTM", "gru": "GRU"}
SKIP = "skip_"
FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}
TASKS = {
    "adding": "adding problem",
    "frequency": "frequency discrimination",
    "mnist": "sequential MNIST",
    "charades": "Charades",
    "imdb": "IMDB",
    "ucf101": "UCF-101",
    "digits": "sequential digits",
}
# Metrics that are shares, shown in percent; every other is shown in its own unit.
SHARES = {"accuracy": "accuracy", "mean_average_precision": "mean average precision"}
# Tasks whose updates the paper tells in percent of the steps; of all others it tells samples.
UPDATES_IN_PERCENT = ("adding",)
# Data sets of one task, by its option of this name.
VARIANT = "variant"
VARIANTS = {("mnist", "mnist"): "sequential MNIST", ("mnist", "fashion_mnist"): "sequential Fashion-MNIST"}
EVALUATIONS = {"last": "last", "best_validation": "best validation"}

# Heads of columns, with their units. Columns that are not here are called by their names.
HEADS = {
    "quality": "quality",
    "p_skip": "p_skip",
    "budget_cost": "λ",
    "budget_target": "updates asked for",
    "period": "period (steps)",
    "reported": "evaluation",
    "update_ratio": "updates (%)",
    "updates": "updates (samples)",
    "flops_per_sequence": "FLOPs a sequence",
    "work_per_sequence": "work a sequence",
    "step_milliseconds": "training step (ms)",
    "reported_step_milliseconds": "training step as reported (ms)",
    "company": "ran",
    "wait_milliseconds": "wait for a batch (ms)",
    "inference_milliseconds": "inference (ms)",
    "inference_milliseconds_batch_1": "inference, batch of 1 (ms)",
    "train_seconds": "training (s)",
    "total_seconds": "whole trial (s)",
    "compile_seconds": "compiling (s)",
    "quality_difference": "quality",
    "quality_verdict": "quality is",
    "update_ratio_difference": "updates (points)",
    "update_ratio_verdict": "updates are",
    "updates_difference": "updates (samples)",
    "flops_ratio": "FLOPs",
    "gate_layer": "layer of the gate",
}


def cell_name(cell: str) -> str:
    """Such as “Skip LSTM”; a kind of the user's own keeps its name."""
    kind = cell.removeprefix(SKIP)
    name = CELLS.get(kind, kind)
    return f"Skip {name}" if cell.startswith(SKIP) else name


def framework_name(framework: str) -> str:
    """Such as “PyTorch”."""
    return FRAMEWORKS.get(framework, framework)


def task_name(task: str) -> str:
    """Such as “adding problem”; a task of the user's own keeps its name."""
    return TASKS.get(task, task)


def problem_name(
    task: str,
    options: Mapping[str, Any],
    *,
    length: int,
    telling: Iterable[str] = (),
    value_name: Callable[[Any], str] | None = None,
) -> str:
    """A task at a length, such as “adding problem, T = 50”, with those of its options that are `telling`.

    `value_name` names their values; None for `plain`.
    """
    named = value_name or plain
    variant = options.get(VARIANT)
    name = VARIANTS.get((task, variant)) if isinstance(variant, str) else None
    told = [f"{words(option)} = {named(options[option])}" for option in telling if name is None or option != VARIANT]
    return ", ".join([name or task_name(task), f"T = {length}", *told])


def metric_name(metric: str) -> str:
    """Such as “mean squared error”, without a unit."""
    return SHARES.get(metric, words(metric))


def metric_unit(metric: str) -> str:
    """`%` for a share, else nothing."""
    return "%" if metric in SHARES else ""


def metric_scale(metric: str) -> float:
    """What a record's number is multiplied with to be shown in the metric's unit."""
    return 100.0 if metric in SHARES else 1.0


def metric_text(metric: str, value: float, *, digits: int = DIGITS) -> str:
    """A record's number in the metric's unit, such as “42.2 %”."""
    return " ".join(filter(None, (number(metric_scale(metric) * value, digits=digits), metric_unit(metric))))


def metric_head(metric: str, *, higher_is_better: bool) -> str:
    """A head or an axis label, such as “accuracy (%) ↑”; the arrow points to better."""
    unit = f" ({metric_unit(metric)})" if metric_unit(metric) else ""
    return f"{metric_name(metric)}{unit} {'↑' if higher_is_better else '↓'}"


def best_word(*, higher_is_better: bool) -> str:
    """Which of two is better."""
    return "highest" if higher_is_better else "lowest"


def evaluation_name(reported: str) -> str:
    """The evaluation that numbers are of, as a column tells it."""
    return EVALUATIONS.get(reported, words(reported))


def skip_name(*, p_skip: float, period: int) -> str:
    """How a plain cell skips: “p_skip = 0.5” or “every 2nd step”; empty where it does not."""
    if p_skip:
        return f"p_skip = {exact(p_skip)}"
    return f"every {ordinal(period)} step" if period > 1 else ""


def cost_name(budget_cost: float) -> str:
    """Such as “λ = 1e-5”."""
    return f"λ = {exact(budget_cost)}"


def field_name(name: str, value: Any) -> str:
    """A field of a trial that sets it apart, such as “update bias = 1”."""
    return f"{head(name)} = {plain(value)}"


def configuration_name(cell: str, variant: str) -> str:
    """A cell with what sets it apart, such as “Skip LSTM, λ = 1e-5”."""
    return ", ".join(part for part in (cell_name(cell), variant) if part)


def head(column: str) -> str:
    """A column's head, with its unit."""
    name = column.removeprefix("protocol.")
    return HEADS.get(name, words(name))


def words(name: str) -> str:
    """A name of the record as words."""
    return name.replace("_", " ")


def listed(names: Iterable[str]) -> str:
    """Such as “a”, “a and b”, “a, b and c”."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def many(count: int, thing: str) -> str:
    """Such as “1 trial” and “2 trials”."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def seeds_name(ended: int, *, asked: int) -> str:
    """What a mean is over: “5 seeds”, or “1 of 5 seeds” where not all that were asked for ended ok."""
    return many(asked, "seed") if ended == asked else f"{ended} of {many(asked, 'seed')}"


def ordinal(number: int) -> str:
    """Such as “2nd”, “11th”, “23rd”."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def gibibytes(size: float) -> str:
    """A machine's memory, from bytes."""
    return f"{size / 2**30:.0f} GiB"


def plain(value: Any) -> str:
    """A chosen value as text: yes or no, a number in all its digits, or the name itself."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    if isinstance(value, int | float):
        return exact(value)
    return words(value) if isinstance(value, str) else str(value)
