"""Servers: what they fork computes as a fresh process does, and whatever becomes of them is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.launch.local.local_executor import threads_per_worker
from bench.launch.local.servers import Servers
from bench.machine.threads import library_variables
from bench.plan.trial import Trial, build_trial
from bench.records.store import Store
from impls.contract import installed
from tests.bench.launch.test_launch import ROOT, Watcher, run, servers, trial, wait_for
from tests.bench.train.test_resumption import left, numbers

# Runs a trial in a process that nothing was imported in before.
FRESH = """
import json
import sys
from pathlib import Path
from bench.plan.trial import build_trial
from bench.records.store import Store
from bench.train.training import run_trial
run_trial(build_trial(json.loads(sys.argv[1]), where="test"), store=Store(Path(sys.argv[2])), threads=int(sys.argv[3]))
"""


def small(framework: str, *, seed: int = 0) -> Trial:
    """Large enough for either framework's threads to share a step."""
    content: dict[str, Any] = {"task": "adding", "cell": "skip_lstm", "units": 16, "options": {"length": 10}}
    protocol = {"steps": 4, "batch_size": 32, "evaluate_every": 2, "evaluation_sequences": 40}
    return build_trial(content | {"framework": framework, "seed": seed, "protocol": protocol}, where="test")


@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_a_forked_trial_comes_to_the_bits_of_a_fresh_process(framework: str, tmp_path: Path) -> None:
    """Also the second that a server forks."""
    if not installed(framework):
        pytest.skip(f"{framework} is not installed")
    first, made, threads = small(framework, seed=1), small(framework), threads_per_worker(1)
    forked, fresh = Store(tmp_path / "forked"), Store(tmp_path / "fresh")
    run([first, made], forked, Watcher())
    command = [sys.executable, "-c", FRESH, made.model_dump_json(), str(fresh.results), str(threads)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | library_variables(threads), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    here, there = forked.read(made.id), fresh.read(made.id)
    assert here is not None
    assert there is not None
    assert left(forked.folder_of(made.id)) == left(fresh.folder_of(made.id))
    assert numbers(here) == numbers(there.model_copy(update={"workers": here.workers}))
    assert here.environment["blas"] == there.environment["blas"]
    before = forked.read(first.id)
    assert before is not None
    assert here.import_seconds == before.import_seconds
    assert here.import_seconds is not None
    assert here.import_seconds > 0
    assert (forked.folder_of(first.id) / "log.txt").exists()
    assert there.import_seconds is None


@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_a_server_imports_the_framework_and_starts_no_thread(framework: str, tmp_path: Path) -> None:
    """A thread is not forked, and who waits for it waits for ever."""
    if not installed(framework):
        pytest.skip(f"{framework} is not installed")
    found: dict[str, int] = {}

    def look(_: Trial) -> None:
        (server,) = servers()
        found["threads"] = server.num_threads()
        found["framework"] = sum("torch" in file.path or "tensorflow" in file.path for file in server.memory_maps())

    made = small(framework)
    # As many workers as cores: NumPy's linear algebra, which starts its threads again after a fork, has none either.
    workers = len(os.sched_getaffinity(0))
    run([made], Store(tmp_path), Watcher(look), workers=workers)
    assert found["framework"] > 0
    assert found["threads"] == 1


@pytest.mark.slow
def test_a_server_that_was_killed_takes_no_other_trial_with_it(tmp_path: Path) -> None:
    store, victim, other = Store(tmp_path), trial(), trial(seed=1)

    def kill(running: Trial) -> None:
        if running.id == victim.id:
            for server in servers():
                server.kill()

    run([victim, other], store, Watcher(kill))
    record = store.read(other.id)
    assert record is not None
    assert record.status == "ok"
    ended = store.read(victim.id)
    assert ended is not None
    assert ended.status in ("ok", "failed"), "it may have been at its end"


def test_a_framework_that_does_not_import_is_recorded_by_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text('raise OSError("libcudart.so.0: cannot open shared object file")')
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))
    store, made = Store(tmp_path / "results"), trial()
    run([made], store, Watcher())
    record = store.read(made.id)
    assert record is not None
    assert record.status == "failed"
    assert "libcudart.so.0" in record.error


def test_a_process_that_is_stopped_before_its_server_has_imported(tmp_path: Path) -> None:
    with Servers(threads=1) as made:
        process, progress = made.start("pytorch", {})
        process.terminate()
        process.join(60)
        assert process.exitcode is not None
        progress.close()
    wait_for(lambda: not servers(), seconds=10)
