"""Exports: runs as other tools know them, TensorBoard's HParams, and MLflow on a real local server."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from bench.errors import UserError
from bench.records.store import Store
from bench.report import export_runs
from bench.report.exports import tracking
from bench.report.exports.runs import LONGEST_PART, ExportedRun, exported_runs
from bench.report.frames import read_records, sweep_frame
from tests.bench.report.stored import SWEEP, Stored, list_sweep, ok_record, trial, write_run


def runs_of(stored: Stored) -> dict[str, ExportedRun]:
    frame = sweep_frame(read_records(SWEEP, results=stored.results))
    return {run.name: run for run in exported_runs(frame, store=stored.store, sweep=SWEEP)}


def test_names_tell_task_cell_variant_framework_and_seed(stored: Stored):
    names = set(runs_of(stored))
    assert "adding/skip_lstm/budget_cost=0.01/tensorflow/seed=2" in names
    assert "digits/lstm/pytorch/seed=0" in names
    assert len(names) == len(stored.store.trial_ids())


def test_a_run_has_what_the_record_has(stored: Stored):
    run = runs_of(stored)["adding/skip_lstm/budget_cost=0.01/pytorch/seed=1"]
    assert run.ok
    assert (run.parameters["budget_cost"], run.parameters["seed"], run.parameters["batch_size"]) == (0.01, 1, 4)
    assert (run.metrics["quality"], run.metrics["update_ratio"]) == (0.2, 0.5)
    assert "peak_memory_bytes" not in run.metrics  # the record has none
    assert run.curve[0] == (10, {"validation/quality": pytest.approx(0.3), "validation/update_ratio": 1.0})
    assert run.tags["parameters_checksum"] == "parameters 1"
    assert run.tags["environment.packages.torch"] == "2.13.0"
    assert {path.name for path in run.files} == {"record.json", "curve.csv"}
    assert len(run.checksum) > 8


def test_a_failure_is_a_failed_run_with_its_error(stored: Stored):
    run = runs_of(stored)["adding/lstm/pytorch/seed=2"]
    assert not run.ok
    assert (run.tags["status"], run.tags["error"]) == ("failed", "MemoryError: no <room>")
    assert (run.curve, "quality" in run.metrics) == ((), False)


def test_two_trials_of_one_name_are_told_apart_by_their_ids(tmp_path: Path):
    """What sets two trials apart stands in their names; a slash, which parts a name, is written as another letter."""
    made = trial("imdb", "lstm", "pytorch")
    first, second = (
        made.model_copy(update={"options": {**made.options, "word_vectors": name}}) for name in ("a/b.bin", "a_b.bin")
    )
    for one in (first, second):
        write_run(Store(tmp_path), ok_record(one, quality=0.1))
    list_sweep(tmp_path, [first, second])
    names = set(runs_of(Stored(results=tmp_path, trials=(first, second))))
    assert names == {f"imdb/lstm/word_vectors=a_b.bin/pytorch/seed=0/{one.id}" for one in (first, second)}


def test_a_name_is_as_long_as_a_disk_takes(tmp_path: Path):
    made = trial("adding", "lstm", "pytorch")
    several = [made, *(made.model_copy(update={"units": (64,) * layers}) for layers in (90, 91))]
    for one in several:
        write_run(Store(tmp_path / "results"), ok_record(one, quality=0.1))
    list_sweep(tmp_path / "results", several)
    assert export_runs(SWEEP, tool="tensorboard", place=str(tmp_path), results=tmp_path / "results") == (3, 0)
    names = set(runs_of(Stored(results=tmp_path / "results", trials=tuple(several))))
    assert max(len(part) for name in names for part in name.split("/")) == LONGEST_PART + len("-01234567")
    assert len(names) == 3


def test_a_record_that_tells_no_date(tmp_path: Path):
    made = trial("adding", "lstm", "pytorch")
    write_run(Store(tmp_path), ok_record(made, quality=0.1, finished="yesterday"))
    list_sweep(tmp_path, [made])
    (run,) = runs_of(Stored(results=tmp_path, trials=(made,))).values()
    assert (run.finished, run.tags["finished"]) == (None, "yesterday")


# TensorBoard


def events_in(folder: Path) -> list[Any]:
    """The events of a run's file: lengths and checksums frame each."""
    (path,) = folder.glob("events.out.tfevents*")
    content, events, at = path.read_bytes(), [], 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        events.append(Event.FromString(content[at + 12 : at + 12 + length]))
        at += 12 + length + 4
    return events


def values_in(folder: Path) -> Iterator[tuple[int, Any]]:
    for event in events_in(folder):
        for value in event.summary.value:
            yield event.step, value


def test_tensorboard_has_a_run_a_trial_with_parameters_and_metrics(stored: Stored, tmp_path: Path):
    assert export_runs(SWEEP, tool="tensorboard", place=str(tmp_path), results=stored.results) == (15, 0)
    folder = tmp_path / "adding/skip_lstm/budget_cost=0.01/pytorch/seed=1"
    scalars = {
        (step, value.tag): value.simple_value for step, value in values_in(folder) if not value.HasField("metadata")
    }
    assert scalars[20, "quality"] == pytest.approx(0.2)
    assert scalars[10, "validation/quality"] == pytest.approx(0.3)
    parts = [HParamsPluginData.FromString(value.metadata.plugin_data.content)
             for _, value in values_in(folder) if value.metadata.plugin_data.plugin_name == "hparams"]  # fmt: skip
    (start,) = [part.session_start_info for part in parts if part.HasField("session_start_info")]
    assert start.hparams["cell"].string_value == "skip_lstm"
    assert start.hparams["seed"].number_value == 1
    assert start.hparams["status"].string_value == "ok"


def test_all_runs_have_the_same_columns(stored: Stored, tmp_path: Path):
    """The pane takes its columns from one run: a failed one must not hide the metrics of the others."""
    export_runs(SWEEP, tool="tensorboard", place=str(tmp_path), results=stored.results)
    columns = set()
    for mark in tmp_path.rglob("exported.txt"):
        for _, value in values_in(mark.parent):
            part = HParamsPluginData.FromString(value.metadata.plugin_data.content)
            if part.HasField("experiment"):
                columns.add((tuple(info.name for info in part.experiment.hparam_infos),
                             tuple(info.name.tag for info in part.experiment.metric_infos)))  # fmt: skip
    ((parameters, metrics),) = columns
    assert {"task", "cell", "framework", "seed", "budget_cost", "status"} <= set(parameters)
    assert "clip_norm" not in parameters  # the same in all
    assert {"quality", "update_ratio"} <= set(metrics)


def test_a_second_export_to_tensorboard_adds_nothing(stored: Stored, tmp_path: Path):
    first = export_runs(SWEEP, tool="tensorboard", place=str(tmp_path), results=stored.results)
    before = sorted((path, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file())
    assert export_runs(SWEEP, tool="tensorboard", place=str(tmp_path), results=stored.results) == (0, first[0])
    assert sorted((path, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()) == before


def test_a_record_that_changed_replaces_its_run(tmp_path: Path):
    results, folder = tmp_path / "results", tmp_path / "runs"
    one = trial("adding", "lstm", "pytorch")
    list_sweep(results, [one])
    for quality in (0.1, 0.3):
        write_run(Store(results), ok_record(one, quality=quality))
        assert export_runs(SWEEP, tool="tensorboard", place=str(folder), results=results) == (1, 0)
    place = folder / "adding/lstm/pytorch/seed=0"
    assert [value.simple_value for _, value in values_in(place) if value.tag == "quality"] == [pytest.approx(0.3)]


def test_what_is_not_an_export_is_never_replaced(stored: Stored, tmp_path: Path):
    place = tmp_path / "digits/lstm/pytorch/seed=0"
    place.mkdir(parents=True)
    (place / "thesis.txt").write_text("all of it")
    with pytest.raises(UserError, match="holds something else than an exported run"):
        export_runs(SWEEP, tool="tensorboard", place=str(tmp_path), results=stored.results)
    assert (place / "thesis.txt").read_text() == "all of it"


# Mistakes


def test_another_tool_is_refused_with_the_nearest(stored: Stored):
    with pytest.raises(UserError, match="--to mlfow: not one of mlflow, tensorboard"):
        export_runs(SWEEP, tool="mlfow", place="x", results=stored.results)


def test_without_mlflow_it_says_how_to_have_it(stored: Stored, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"'mlflow' is not installed: pip install .*\[tracking\]"):
        export_runs(SWEEP, tool="mlflow", place="http://127.0.0.1:1", results=stored.results)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://[::1", "http://"])
def test_a_server_that_is_not_there_is_said_at_once(stored: Stored, monkeypatch: pytest.MonkeyPatch, address: str):
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: True)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"--to mlflow http.*: no MLflow server answers .*mlflow server"):
        export_runs(SWEEP, tool="mlflow", place=address, results=stored.results)
    assert time.monotonic() - start < 30


# MLflow

WHOLE = all(importlib.util.find_spec(name) is not None for name in ("mlflow", "flask", "alembic"))
needs_server = pytest.mark.skipif(not WHOLE, reason="MLflow's server is not installed: make test-tracking")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this machine alone, with its runs in a folder of the test."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", str(folder / "files")]
    log = (folder / "log.txt").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *words],
        stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 240
        while not answers(address):
            assert process.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < until, (folder / "log.txt").read_text()
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it keeps nothing that outlives the test
        process.wait()
        log.close()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2):
            return True
    except OSError:
        return False


@needs_server
@pytest.mark.filterwarnings("ignore")  # of MLflow and what it imports
def test_mlflow_holds_every_trial_once(stored: Stored, server: str):
    from mlflow import MlflowClient

    assert export_runs(SWEEP, tool="mlflow", place=server, results=stored.results) == (15, 0)
    assert export_runs(SWEEP, tool="mlflow", place=server, results=stored.results) == (0, 15)
    client = MlflowClient(tracking_uri=server)
    runs = client.search_runs([client.get_experiment_by_name(SWEEP).experiment_id])
    assert len(runs) == 15
    by_name = {run.info.run_name: run for run in runs}

    good = by_name["adding/skip_lstm/budget_cost=0.01/pytorch/seed=1"]
    assert good.info.status == "FINISHED"
    assert good.data.metrics["quality"] == pytest.approx(0.2)
    assert good.data.params["budget_cost"] == "0.01"
    assert good.data.tags["parameters_checksum"] == "parameters 1"
    assert good.data.tags["environment.system"] == "Linux 6"
    history = client.get_metric_history(good.info.run_id, "validation/quality")
    assert [(point.step, point.value) for point in history] == [(10, pytest.approx(0.3)), (20, pytest.approx(0.25))]
    assert {file.path for file in client.list_artifacts(good.info.run_id)} == {"record.json", "curve.csv"}

    failed = by_name["adding/lstm/pytorch/seed=2"]
    assert (failed.info.status, failed.data.tags["error"]) == ("FAILED", "MemoryError: no <room>")


@needs_server
@pytest.mark.filterwarnings("ignore")
def test_mlflow_logs_an_unfinished_or_changed_run_again(tmp_path: Path, server: str):
    from mlflow import MlflowClient

    one = trial("adding", "lstm", "pytorch")
    list_sweep(tmp_path, [one])
    write_run(Store(tmp_path), ok_record(one, quality=0.1))
    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name(SWEEP)
    identifier = experiment.experiment_id if experiment else client.create_experiment(SWEEP)
    for run in client.search_runs([identifier], f"tags.trial_id = '{one.id}'"):
        client.delete_run(run.info.run_id)
    client.create_run(identifier, tags={"trial_id": one.id})  # as an export that was cut off leaves it
    for quality in (0.1, 0.3):
        write_run(Store(tmp_path), ok_record(one, quality=quality))
        assert export_runs(SWEEP, tool="mlflow", place=server, results=tmp_path) == (1, 0)
        (run,) = client.search_runs([identifier], f"tags.trial_id = '{one.id}'")
        assert (run.info.status, run.data.metrics["quality"]) == ("FINISHED", pytest.approx(quality))
