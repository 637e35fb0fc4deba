"""Runs for TensorBoard's HParams: a folder of events each, with what decides the trial and what came out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from bench.errors import UserError
from bench.report.exports.runs import ExportedRun

# Beside a run's events: of which record they are. A folder without it is not ours to replace.
MARK = "exported.txt"
# What a person chooses among; further parameters join them where they vary.
ALWAYS = ("task", "cell", "framework", "seed")


def write_hyperparameters(runs: Sequence[ExportedRun], *, folder: Path) -> tuple[int, int]:
    """Writes every run that is not there yet, or whose record has changed; returns how many were written and kept.

    Raises `UserError` where the place of a run holds something else, or cannot be written.
    """
    written = 0
    parameters = _shown(runs)
    metrics = sorted({name for run in runs for name in run.metrics})
    for run in runs:
        place = folder / run.name
        mark = f"{run.trial_id} {run.checksum} {' '.join(parameters)} {' '.join(metrics)}\n"
        if _is_there(place, mark):
            continue
        try:
            _write(run, place, parameters=parameters, metrics=metrics)
            (place / MARK).write_text(mark, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{place}: cannot be written ({error}); choose another folder") from None
        written += 1
    return written, len(runs) - written


def _shown(runs: Sequence[ExportedRun]) -> list[str]:
    """The parameters that tell runs apart; the pane takes its columns from one run, so all have the same."""
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    return [name for name in names if name in ALWAYS or len({str(run.parameters.get(name)) for run in runs}) > 1]


def _is_there(place: Path, mark: str) -> bool:
    """Whether the run is there already. What is left of an older or unfinished export is removed."""
    if not place.exists():
        return False
    if (place / MARK).is_file():
        if (place / MARK).read_text(encoding="utf-8") == mark:
            return True
    elif not place.is_dir() or any(not path.name.startswith("events.out.tfevents") for path in place.iterdir()):
        raise UserError(f"{place}: holds something else than an exported run; choose another folder")
    shutil.rmtree(place)
    return False


def _write(run: ExportedRun, place: Path, *, parameters: Sequence[str], metrics: Sequence[str]) -> None:
    chosen = {name: run.parameters.get(name, "") for name in parameters} | {"status": run.tags["status"]}
    last = run.curve[-1][0] if run.curve else 0
    with SummaryWriter(str(place)) as events:
        for summary in hparams(chosen, dict.fromkeys(metrics, 0.0)):  # of metrics it takes the names alone
            events.file_writer.add_summary(summary)
        for name, value in run.metrics.items():
            events.add_scalar(name, value, last)
        for step, values in run.curve:
            for name, value in values.items():
                events.add_scalar(name, value, step)
