"""Faults at every single change that a run makes to its results folder, one after the other.

`python -m tests.faults.points` tries each of them: the run is killed there, or its trial alone; the disk is full from
there on; the run is late there, and another machine has taken over and ended everything when it goes on.
"""

from __future__ import annotations

import errno
import io
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer
from rich.console import Console

from bench.errors import DiskError
from bench.launch.duration import estimate
from bench.launch.running import run_sweep
from bench.machine import processes
from bench.plan.sweep import Sweep
from bench.plan.trial import build_trial
from bench.records.record import failure
from bench.records.running import leases
from bench.records.store import Store
from bench.records.upkeep.merge import merge
from tests.faults.fake_learner import FakeExecutor, expected
from tests.faults.remains import remains

Fault = Literal["run killed", "trial killed", "disk full", "late", "late trial"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
Scene = Literal["anew", "after a failure", "after a kill", "merge"]
SCENES: tuple[Scene, ...] = get_args(Scene)
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.chmod", "os.truncate", "os.link"}
NEEDS_ROOM = {"open", "os.mkdir"}
# Where files are not waited for: a killed process loses nothing that it has written.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def sweep() -> Sweep:
    content = {"task": "adding", "cell": "lstm", "units": 2, "framework": "pytorch", "options": {"length": 2}}
    trials = tuple(build_trial({**content, "seed": seed}, where="test") for seed in range(2))
    return Sweep(name="points", description="", trials=trials)


@dataclass
class Changes:
    """Counts the changes that this process makes to files, and does something at one of them."""

    at: int
    act: Callable[[str], None]
    count: int = 0
    open: bool = False
    lasting: bool = False

    def install(self) -> None:
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.open:
            return
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & WRITES or arguments[0] == os.devnull:
                return
        elif event not in CHANGES:
            return
        self.count += 1
        if self.count == self.at or (self.lasting and self.count > self.at > 0):
            self.act(event)


def attempt_run(results: Path, executor: FakeExecutor) -> None:
    """What `run` does. Raises what it raises."""
    estimate.slowdown = lambda: 1.0
    console = Console(file=io.StringIO())
    run_sweep(
        sweep(),
        store=Store(results),
        data=results / "data",
        executor=executor,
        console=console,
        retries=2,
        checks=False,
    )


def run_elsewhere(results: Path) -> None:
    """Another machine's run, which has watched every lease for long enough; returns when it has ended."""
    process = os.fork()
    if not process:
        code = 1
        try:
            os.environ[processes.VARIABLE] = "elsewhere"
            processes.machine_name.cache_clear()
            leases.GONE_SECONDS = -1.0
            attempt_run(results, FakeExecutor())
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    assert status == 0, f"the run of the other machine ended with {status}"


def prepare(scene: Scene, results: Path) -> None:
    """Brings the folder to where the scene begins."""
    first, second = sweep().trials
    if scene == "after a failure":
        store = Store(results)
        for trial in (first, second):
            store.write(failure(trial, status="failed", error="as it was before"))
    elif scene == "after a kill":
        # After a checkpoint of the first trial, before its next.
        with_fault(results, at=40, fault="run killed", scene="anew")
        assert list(results.glob("running/*/checkpoint-2.npz"))
    elif scene == "merge":
        attempt_run(results.with_name("others"), FakeExecutor())


def with_fault(results: Path, *, at: int, fault: Fault, scene: Scene) -> int:
    """A run of the scene with the fault at a change, 0 for none; how many changes there were, −1 where it was killed.

    The run has a process of its own.
    """
    told, tell = os.pipe()
    process = os.fork()
    if process:
        os.close(tell)
        with open(told, "rb") as file:
            count = file.read()
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return -1
        assert status == 0, f"the run ended with status {status}"
        return int(count)
    code = 1
    try:
        os.close(told)
        os.write(tell, str(_faulty(results, at=at, fault=fault, scene=scene)).encode())
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _faulty(results: Path, *, at: int, fault: Fault, scene: Scene) -> int:
    """In the process of the run: what changed, or it is killed on the way."""
    own = os.getpid()

    def act(event: str) -> None:
        if fault == "disk full":
            if event in NEEDS_ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif fault.endswith("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            changes.open = False
            run_elsewhere(results)

    changes = Changes(at, act, lasting=fault == "disk full")
    changes.install()
    in_trial = fault in ("trial killed", "late trial")

    def opened() -> None:
        if in_trial and os.getpid() != own and not results.with_name("hit").exists():
            results.with_name("hit").touch()  # once: it is tried again
            changes.open = True

    changes.open = not in_trial
    executor = FakeExecutor(forks=in_trial, before=opened)
    try:
        if scene == "merge":
            others = merge(results, results.with_name("others"))
            assert not others.refused or fault == "late", others.refused
        else:
            attempt_run(results, executor)
    except DiskError as error:
        said = str(error)
    else:
        said = ""
    if said and (fault != "disk full" or "the disk is full" not in said or "\n" in said):
        raise RuntimeError(f"the run ended so: {said}")
    changes.open = False
    return changes.count


def check(results: Path) -> list[str]:
    """What is wrong in the end: each trial is there once with its numbers, and nothing else is."""
    found = Store(results).survey()
    wrong = remains(results)
    for trial in sweep().trials:
        record = found.records.get(trial.id)
        if record is None:
            wrong.append(f"{trial.id}: no record ({found.problems().get(trial.id, 'missing')})")
            continue
        told = {name: getattr(record, name) for name in expected(trial)}
        if told != expected(trial):
            wrong.append(f"{trial.id}: {told}, not {expected(trial)}")
    return wrong


def try_point(scene: Scene, fault: Fault, at: int) -> tuple[bool, list[str]]:
    """Whether there was such a change, and what was wrong after the next run."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        results = Path(folder) / "results"
        results.mkdir()
        prepare(scene, results)
        count = with_fault(results, at=at, fault=fault, scene=scene)
        reached = count < 0 or count >= at or (fault in ("trial killed", "late trial") and at <= TRIAL_CHANGES)
        wrong = []
        if fault == "disk full":
            broken = [record for record in Store(results).survey().records.values() if record.status != "ok"]
            wrong += [f"recorded with {record.error}" for record in broken if record.error != "as it was before"]
        if scene == "merge":
            merged = merge(results, results.with_name("others"))
            wrong += merged.refused if fault != "late" else []  # what the other machine ended differs
        with_fault(results, at=0, fault=fault, scene="anew")
        return reached, wrong + check(results)


# More than a trial makes in its own process.
TRIAL_CHANGES = 45


def points(scene: Scene, fault: Fault) -> Iterator[int]:
    """The changes of a scene, counted from 1."""
    if fault in ("trial killed", "late trial"):
        yield from range(1, TRIAL_CHANGES + 1)
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        results = Path(folder) / "results"
        results.mkdir()
        prepare(scene, results)
        count = with_fault(results, at=0, fault=fault, scene=scene)
    yield from range(1, count + 1)


def main(
    share: Annotated[float, typer.Option(help="Of the points, drawn by the seed.", min=0.0, max=1.0)] = 1.0,
    seed: Annotated[int, typer.Option(help="Another seed draws others.")] = 0,
    scene: Annotated[str | None, typer.Option(help=f"One alone: {', '.join(SCENES)}.")] = None,
    fault: Annotated[str | None, typer.Option(help=f"One alone: {', '.join(FAULTS)}.")] = None,
    point: Annotated[int | None, typer.Option(help="One alone.")] = None,
) -> None:
    """Tries them, and prints how many there were and what was wrong after which."""
    draw, tried, failed = random.Random(seed), Counter(), 0
    started = time.monotonic()
    for one_scene in SCENES:
        for one_fault in FAULTS:
            if scene not in (None, one_scene) or fault not in (None, one_fault):
                continue
            if one_scene == "merge" and one_fault in ("trial killed", "late trial"):
                continue
            for at in points(one_scene, one_fault) if point is None else [point]:
                if draw.random() >= share:
                    continue
                try:
                    reached, wrong = try_point(one_scene, one_fault, at)
                except AssertionError as error:
                    reached, wrong = True, [str(error)]
                tried[one_scene, one_fault] += reached
                for line in wrong:
                    typer.echo(f"--scene '{one_scene}' --fault '{one_fault}' --point {at}: {line}", err=True)
                failed += bool(wrong)
            typer.echo(f"{one_scene}, {one_fault}: {tried[one_scene, one_fault]} points")
    typer.echo(f"{sum(tried.values())} points in {time.monotonic() - started:.0f} s, {failed} with something wrong")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    typer.run(main)
