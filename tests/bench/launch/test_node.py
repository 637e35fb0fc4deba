"""A trial's command on the machine that it was sent to: what is told of it, and that nothing of it stays."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.errors import DiskError, RecordError
from bench.launch.cluster import node
from bench.launch.cluster.carried import write_files
from bench.launch.cluster.node import Here, Home, News, Order, Over, Trouble, Unfit, run_ordered
from bench.launch.executor import Where
from bench.machine.processes import process_start
from bench.machine.scratch import scratch_folder, scratch_root
from bench.records.running.lone_folder import write_trial
from bench.train.conditions import code_checksum
from bench.train.progress import Progress
from tests.bench.launch.test_launch import trial, wait_for

# In the place of Python and the trial's command: beats, and then does as it is told.
FAKE = """#!{python} -S
import json, os, signal, subprocess, sys, time
folder = sys.argv[4]
def beat(**told):
    beat = dict(node={node!r}, process_id=os.getpid(), started="") | told
    with open(folder + "/.beat", "w") as file:
        json.dump(beat, file)
    os.replace(folder + "/.beat", folder + "/heartbeat.json")
with open(folder + "/seen.json", "w") as file:
    json.dump(dict(words=sys.argv, environment=dict(os.environ), files=sorted(os.listdir(folder))), file)
{act}
"""
FOR_EVER = "beat(step=1, steps=2, computing=False)\nwhile True: time.sleep(0.05)"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(node, "BEAT_SECONDS", 0.0)


@pytest.fixture
def ordered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Order]:
    """An order for a command that does so, in a folder that this machine sees."""

    def make(act: str, *, device: str = "cpu", **changes: Any) -> Order:
        fake = tmp_path / "python"
        fake.write_text(FAKE.format(python=sys.executable, node=socket.gethostname(), act=act))
        fake.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(fake))
        folder = tmp_path / "attempt"
        folder.mkdir()
        made = trial(device=device)
        write_trial(folder, made)
        told: dict[str, Any] = {"trial": made, "folder": folder, "files": {}, "data": tmp_path / "data", "threads": 3}
        return Order(**told | {"code": code_checksum()} | changes)

    return make


def last(order: Order) -> News:
    *_, over = run_ordered(order, gpu=None)
    return over


def seen(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return found


def test_it_is_told_where_it_runs_how_far_it_is_and_how_it_ended(ordered: Callable[..., Order]) -> None:
    order = ordered("beat(step=1, steps=2, conditions=dict(threads='3')); time.sleep(0.5); beat(step=2, steps=2)")
    here, *progress, over = run_ordered(order, gpu=None)
    assert here == Here(Where(node=socket.gethostname(), device="cpu"))
    assert [told.step for told in progress if isinstance(told, Progress)] == [1, 2]
    assert over == Over(
        status="failed",
        how="failed",
        error="the trial's process ended with exit code 0 and left no record (see log.txt)",
        conditions={"threads": "3"},
    )
    words = ["-m", "bench", "trial", str(order.folder), "--attended", "--data", str(order.data), "--threads", "3"]
    assert seen(order.folder)["words"][1:] == words


@pytest.mark.parametrize(
    ("device", "gpu", "sees", "told"),
    [("cpu", "3", "", "cpu"), ("cuda", "1,2", "1,2", "GPU 1,2"), ("cuda", None, "", "cuda")],
)
def test_a_trial_sees_its_gpus_alone(
    device: str, gpu: str | None, sees: str, told: str, ordered: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    order = ordered("beat()", device=device)
    here, *_ = run_ordered(order, gpu=gpu)
    assert isinstance(here, Here)
    assert here.where.device == told
    assert seen(order.folder)["environment"]["CUDA_VISIBLE_DEVICES"] == sees


def test_one_over_its_time_is_ended(ordered: Callable[..., Order]) -> None:
    over = last(ordered(FOR_EVER, timeout_seconds=0.3))
    assert isinstance(over, Over)
    assert (over.status, over.how, over.error) == ("timeout", "timeout", "stopped after 0.3 seconds, the limit")


def test_one_that_has_time_left_ends_by_itself(ordered: Callable[..., Order]) -> None:
    over = last(ordered("beat(step=1, steps=2)\ntime.sleep(0.2)", timeout_seconds=3600.0, stall_seconds=3600.0))
    assert isinstance(over, Over)
    assert over.how == "failed", "it left no record"


def test_one_that_shows_no_life_is_ended_though_it_beats(ordered: Callable[..., Order]) -> None:
    act = "while True: beat(step=1, steps=2, computing=False); time.sleep(0.02)"
    over = last(ordered(act, stall_seconds=0.4))
    assert isinstance(over, Over)
    assert over.error == "stalled: no sign of life for 0.4 seconds, after step 1; it was stopped"


def test_one_that_was_killed_is_told_so(ordered: Callable[..., Order]) -> None:
    over = last(ordered("os.kill(os.getpid(), signal.SIGKILL)"))
    assert isinstance(over, Over)
    assert over.how == "killed"


def test_what_the_command_refuses_is_told_in_its_words(ordered: Callable[..., Order]) -> None:
    refused = last(ordered("print('a warning'); print('error: the disk is full'); sys.exit(2)"))
    assert refused == Trouble(f"node {socket.gethostname()}: the disk is full")


def test_what_it_told_of_its_disk_is_told(ordered: Callable[..., Order]) -> None:
    assert last(ordered("beat(trouble='no room'); sys.exit(1)")) == Trouble(f"node {socket.gethostname()}: no room")


def test_a_disk_that_does_not_take_what_was_sent_is_told(
    ordered: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, files: object) -> None:
        raise DiskError(f"{folder}: the disk is full; free some space")

    monkeypatch.setattr(node, "write_files", full)
    order = ordered("")
    (order.folder / "trial.json").unlink()
    trouble = last(order)
    assert isinstance(trouble, Trouble)
    assert trouble.said.startswith(f"node {socket.gethostname()}: {scratch_root()}")
    assert trouble.said.endswith("the disk is full; free some space")


@pytest.mark.parametrize(
    ("number", "how"), [(errno.ENOMEM, "out_of_memory"), (errno.EAGAIN, "lost"), (errno.ENOENT, "lost")]
)
@pytest.mark.parametrize("what", ["Popen", "TemporaryFile"])
def test_a_machine_that_cannot_start_the_command_is_told_in_its_words(
    what: str, number: int, how: str, ordered: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine, or the same another time, can."""

    def fail(*words: object, **told: object) -> None:
        raise OSError(number, os.strerror(number))

    order = ordered("")
    monkeypatch.setattr(node.subprocess if what == "Popen" else node.tempfile, what, fail)
    (over,) = run_ordered(order, gpu=None)
    assert over == Over(
        status="failed",
        how=how,  # type: ignore[arg-type]
        error=f"node {socket.gethostname()} could not run its command: [Errno {number}] {os.strerror(number)}",
        conditions=None,
    )


def test_whoever_attends_to_it_no_more_ends_it_and_all_that_it_started(
    ordered: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "GRACE_SECONDS", 0.3)
    act = "signal.signal(signal.SIGTERM, signal.SIG_IGN); child = subprocess.Popen(['sleep', '1000'])\n"
    order = ordered(act + "open(folder + '/child', 'w').write(str(child.pid))\n" + FOR_EVER)
    news = run_ordered(order, gpu=None)
    assert isinstance(next(news), Here)
    child = psutil.Process(int((order.folder / "child").read_text()))
    command = child.parent()
    assert command is not None
    news.close()
    assert not command.is_running()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, seconds=30)


def test_where_the_folder_is_not_seen_its_files_go_there_and_come_home(
    ordered: Callable[..., Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "CARRY_SECONDS", 0.0)
    act = "beat(); os.mkdir(folder + '/tensorboard'); open(folder + '/tensorboard/events', 'w').write('e')\n"
    act += "open(folder + '/checkpoint-9.npz', 'w').write('9'); time.sleep(0.5); open(folder + '/record.json', 'w')"
    order = ordered(act, files={"checkpoint-5.npz": b"5", "attempts.json": b"[]"})
    (order.folder / "trial.json").unlink()
    found = [news for news in run_ordered(order, gpu=None) if isinstance(news, Home)]
    *so_far, whole = found
    assert so_far[-1].files == {"checkpoint-5.npz": b"5", "checkpoint-9.npz": b"9", "tensorboard/events": b"e"}
    names = {"attempts.json", "checkpoint-5.npz", "checkpoint-9.npz", "record.json", "seen.json", "tensorboard/events"}
    assert set(whole.files) == names
    assert "checkpoint-5.npz" in json.loads(whole.files["seen.json"])["files"], "they were there when it began"
    assert not list(scratch_root().glob(f"{os.getpid()}-*"))
    assert not list(order.folder.iterdir())
    (order.folder / "checkpoint-2.npz").touch()
    write_files(order.folder, whole.files)
    assert {path.relative_to(order.folder).as_posix() for path in order.folder.rglob("*") if path.is_file()} == names


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "tensorboard/../../x", ""])
def test_files_that_come_home_do_not_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "attempt"
    folder.mkdir()
    with pytest.raises(RecordError, match="is no file of a trial's folder"):
        write_files(folder, {"fine": b"", name: b""})
    assert [path.name for path in tmp_path.iterdir()] == ["attempt"]
    assert not list(folder.iterdir())


def test_files_that_come_home_do_not_make_a_folder_again_that_was_taken_away(tmp_path: Path) -> None:
    with pytest.raises((DiskError, FileNotFoundError)):
        write_files(tmp_path / "attempt", {"curve.csv": b"step", "tensorboard/events": b"e"})
    assert not list(tmp_path.iterdir())


def test_a_machine_with_another_version_of_the_project_runs_nothing(ordered: Callable[..., Order]) -> None:
    order = ordered("", code="another")
    (unfit,) = run_ordered(order, gpu=None)
    assert isinstance(unfit, Unfit)
    assert unfit.said.startswith(f"node {socket.gethostname()} has another version of the project ({code_checksum()} ")
    assert not (order.folder / "seen.json").exists()


def test_code_that_was_changed_since_the_last_trial_is_another_version(
    ordered: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that attends to commands is the same; each command reads the code anew."""
    order = ordered("")
    monkeypatch.setattr("bench.train.conditions.SOURCES", ("impls",))
    (unfit,) = run_ordered(order, gpu=None)
    assert isinstance(unfit, Unfit)


def test_what_a_killed_process_left_on_the_machine_is_removed_by_the_next() -> None:
    program = "import os, signal\nfrom bench.machine.scratch import scratch_folder\n"
    program += "with scratch_folder() as folder: print(folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", program], cwd=node.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = Path(done.stdout.strip())
    assert left.is_dir()
    with scratch_folder() as own:
        assert not left.exists()
        assert own.name == f"{os.getpid()}-{process_start(os.getpid())}"
    assert not own.exists()
