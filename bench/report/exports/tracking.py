"""Runs for MLflow: a sweep is an experiment, a trial one of its runs."""

from __future__ import annotations

import importlib.util
import itertools
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bench.errors import UserError
from bench.report.exports.runs import ExportedRun

# What tells that a run is there already; MLflow's own status says that it is whole.
TRIAL, CHECKSUM = "trial_id", "record_checksum"
# The most that MLflow takes at once.
MOST_METRICS, MOST_PARAMETERS, MOST_TAGS = 1000, 100, 100
LONGEST_TAG, LONGEST_PARAMETER = 5000, 6000
SECONDS_TO_ANSWER = 10.0


def log_runs(runs: Sequence[ExportedRun], *, sweep: str, address: str) -> tuple[int, int]:
    """Logs every run that is not there yet, or whose record has changed; returns how many were logged and kept.

    A run that an interrupted export left unfinished is deleted and logged again.

    Args:
        runs: of a sweep.
        sweep: the experiment's name; it is made where it is missing.
        address: of the server, such as `http://127.0.0.1:5000`, or a database, such as `sqlite:///mlflow.db`.

    Raises `UserError` where MLflow is not installed, nothing answers, or what answers refuses.
    """
    client = _client(address)
    from mlflow.exceptions import MlflowException

    try:
        experiment = _experiment(client, sweep)
        there = _runs_by_trial(client, experiment)
        logged = 0
        for run in runs:
            old = there.get(run.trial_id)
            if old is not None:
                whole = old.info.status in ("FINISHED", "FAILED")
                if whole and old.data.tags.get(CHECKSUM) == run.checksum:
                    continue
                client.delete_run(old.info.run_id)
            _log(client, experiment, run)
            logged += 1
    except MlflowException as error:
        raise UserError(f"--to mlflow {address}: {_first_line(error)}") from None
    return logged, len(runs) - logged


def _client(address: str) -> Any:
    if importlib.util.find_spec("mlflow") is None:
        raise UserError("the package 'mlflow' is not installed: pip install --constraint constraints.txt '.[tracking]'")
    if address.startswith(("http://", "https://")):
        _require_answer(address)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody asked to be counted
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a run
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=address)


def _require_answer(address: str) -> None:
    """A server that is not there is said at once; MLflow itself would try for minutes."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=SECONDS_TO_ANSWER):
            pass
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"--to mlflow {address}: no MLflow server answers ({reason}); start one: mlflow server --port 5000"
        ) from None


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _runs_by_trial(client: Any, experiment: str) -> dict[str, Any]:
    """The experiment's runs that were exported, by trial id."""
    found: dict[str, Any] = {}
    token: str | None = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        found |= {run.data.tags[TRIAL]: run for run in page if TRIAL in run.data.tags}
        token = page.token
        if not token:
            return found


def _log(client: Any, experiment: str, run: ExportedRun) -> None:
    from mlflow.entities import Metric, Param, RunTag

    end = _milliseconds(run.finished)
    seconds = run.metrics.get("total_seconds", 0.0)
    tags = {TRIAL: run.trial_id, CHECKSUM: run.checksum}
    made = client.create_run(experiment, start_time=end - int(1000 * seconds), tags=tags, run_name=run.name)
    identifier = made.info.run_id
    last = run.curve[-1][0] if run.curve else 0
    metrics = [Metric(name, value, end, last) for name, value in run.metrics.items()]
    metrics += [Metric(name, value, end, step) for step, values in run.curve for name, value in values.items()]
    parameters = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in run.parameters.items()]
    notes = [RunTag(name, text[:LONGEST_TAG]) for name, text in run.tags.items() if name not in tags]
    for some in _groups(metrics, MOST_METRICS):
        client.log_batch(identifier, metrics=some)
    for some in _groups(parameters, MOST_PARAMETERS):
        client.log_batch(identifier, params=some)
    for some in _groups(notes, MOST_TAGS):
        client.log_batch(identifier, tags=some)
    for path in run.files:
        client.log_artifact(identifier, str(path))
    client.set_terminated(identifier, status="FINISHED" if run.ok else "FAILED", end_time=end)


def _groups(values: Iterable[Any], size: int) -> Iterable[list[Any]]:
    rest = iter(values)
    return iter(lambda: list(itertools.islice(rest, size)), [])


def _milliseconds(time: datetime | None) -> int:
    return int(1000 * time.timestamp()) if time is not None else 0


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
