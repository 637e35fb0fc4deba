"""What people are told of trials and of their times, in a few words."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from bench.records.record import Record


def stopping_words(trials: int) -> str:
    """What is said after a first Ctrl-C."""
    return (
        f"stopping {trials} running trial{'s' if trials > 1 else ''}, which keep{'s' if trials == 1 else ''} what "
        f"{'they' if trials > 1 else 'it'} can go on from; Ctrl-C again ends at once"
    )


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def number(value: float | None, form: str = ".4g") -> str:
    """A number in this form, or a dash where there is none."""
    return "–" if value is None else format(value, form)


def summary(record: Record) -> str:
    """A trial's outcome in a few words."""
    if record.status != "ok":
        return f"{record.status}: {record.error}"
    solved = {True: ", solved", False: ", not solved", None: ""}[record.solved]
    return (
        f"{record.quality_metric} {number(record.quality)}{solved}, updates {number(record.update_ratio, '.1%')}, "
        f"{number(record.step_milliseconds, '.3g')} ms a step, {duration(record.total_seconds or 0.0)}"
    )


def where_time_went(records: Sequence[Record], *, workers: int) -> str:
    """Shares of the trials' seconds, in percent, as one line; empty where no trial has told its times.

    An import that several trials share is counted once.

    Args:
        records: of the trials that ran.
        workers: how many ran at a time, since times taken side by side are longer than those of a trial alone.
    """
    told = [record for record in records if record.total_seconds]
    # Trials that were forked from one process tell the same seconds, to the last digit.
    imports = sum(seconds for _, seconds in {(record.trial.framework, record.import_seconds or 0.0) for record in told})
    total = sum(record.total_seconds or 0.0 for record in told) + imports
    if not total:
        return ""
    parts = {
        "imports": imports,
        "training": sum(record.train_seconds or 0.0 for record in told),
        "waiting for data": sum((record.wait_milliseconds or 0.0) * (record.steps or 0) / 1e3 for record in told),
        "evaluation": sum(record.evaluate_seconds or 0.0 for record in told),
        "timed passes": sum(record.timing_seconds or 0.0 for record in told),
        "compilation": sum(record.compile_seconds or 0.0 for record in told),
    }
    if not imports:  # each trial's own, and in the rest
        del parts["imports"]
    parts["the rest"] = total - sum(parts.values())
    shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in parts.items())
    trials = f"{len(told)} trial{'s' if len(told) > 1 else ''}"
    beside = f"; times come from {workers} workers side by side" if workers > 1 else ""
    return f"where the time of {trials} went ({duration(total)}): {shares}{beside}"


# What a single trial shows of its record, with the form of each number.
HEADLINE = {
    "quality": ".6g",
    "validation_quality": ".6g",
    "loss": ".6g",
    "update_ratio": ".2%",
    "updates": ".6g",
    "flops_per_sequence": ".6g",
    "steps": "d",
    "best_step": "d",
    "step_milliseconds": ".3g",
    "train_seconds": ".3g",
    "total_seconds": ".3g",
}


def headline(record: Record, *, first: Record | None) -> Table:
    """A record's headline numbers, a line each; beside them those of the trial's first record, where there is one."""
    table = Table(box=None, pad_edge=False, show_header=first is not None, header_style="dim")
    for column in ("", "now", *([] if first is None else ["before"])):
        table.add_column(column, overflow="fold")
    records = [record] if first is None else [record, first]

    def show(name: str, *values: str) -> None:
        table.add_row(Text(name), *map(Text, values))

    show("trial", *(one.trial_id for one in records))
    show("status", *(f"{one.status}: {one.error}" if one.error else one.status for one in records))
    show("metric", *(one.quality_metric for one in records))
    show("solved", *({True: "yes", False: "no", None: "–"}[one.solved] for one in records))
    for name, form in HEADLINE.items():
        show(name.replace("_", " "), *(number(getattr(one, name), form) for one in records))
    return table
