"""One round: a small sweep, run and disturbed as its seed has it, run again until it is through, and looked over."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.plan import sweep as sweeps
from bench.records.store import Store
from tests.bench.disks import SmallDisk, command
from tests.bench.train.test_resumption import left, numbers
from tests.faults.remains import remains
from tests.faults.runs import GONE_SECONDS, Run, marked, wait_until
from tests.faults.schedule import Disturbed, Injected, schedule

# The same trials, in another order under each name: two sweeps on one store.
GRID = """
description = "for faults"
[[grid]]
task = "adding"
cell = "skip_lstm"
engine = "reference"
units = 2
budget_cost = 1e-3
update_bias = -0.5
options.length = 2
framework = {frameworks}
seed = {seeds}
protocol = {{ steps = 40, batch_size = 4, learning_rate = 1e-2, evaluate_every = 4, evaluation_sequences = 8 }}
"""
ORDERS = {"one": (0, 1, 2), "other": (2, 0, 1)}
# Far more than a run takes on a busy machine; a run that takes longer hangs.
RUN_SECONDS = 1200.0
DISK = "12m"
# Undisturbed runs until all is done: a trial that was killed often failed, and one is tried again in the next.
LAST_RUNS = 4
Result = Mapping[str, Any]


@dataclass
class Outcome:
    """What a round injected, and what was wrong after it."""

    seed: int
    injected: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    runs: int = 0
    seconds: float = 0.0


def write_sweeps(folder: Path, orders: Mapping[str, Sequence[int]] = ORDERS) -> dict[str, Path]:
    """The files of the sweeps, by name; `orders` are the seeds of each in PyTorch. The first is in TensorFlow too."""
    paths = {}
    for name, seeds in orders.items():
        paths[name] = folder / f"{name}.toml"
        both = GRID.format(frameworks='["pytorch"]', seeds=list(seeds))
        grid = GRID.format(frameworks='["tensorflow"]', seeds=[0]).partition("[[grid]]")[2]
        paths[name].write_text(f"{both}[[grid]]{grid}")
    return paths


def results_of(store: Store, *, left: Callable[[Path], Mapping[str, Any]] = left) -> dict[str, Result]:
    """All that a trial's result is, by trial id: bit for bit, but for its times, its command and the project's commit.

    Whoever commits meanwhile is no fault.

    Args:
        store: where the trials are.
        left: what counts of the files in a trial's folder.
    """
    found = {}
    for trial_id, record in store.survey().records.items():
        told = {name: value for name, value in numbers(record).items() if name not in ("command", "workers")}
        told["environment"] = {name: value for name, value in told["environment"].items() if name != "project"}
        found[trial_id] = {"record": told, **left(store.folder_of(trial_id))}
    return found


def reference(folder: Path) -> dict[str, Result]:
    """The results of an undisturbed run. Raises `RuntimeError` where it does not end well."""
    (folder / "tmp").mkdir(parents=True)
    run = Run(write_sweeps(folder)["one"], results=folder / "results", home=folder, machine="one", mark=str(folder))
    if not run.wait(RUN_SECONDS) or run.process.returncode:
        run.signal(signal.SIGKILL, group=True)
        raise RuntimeError(f"the undisturbed run did not end well:\n{run.text}")
    return results_of(Store(folder / "results"))


def play(seed: int, expected: Mapping[str, Result], *, kind: type[Round] | None = None) -> Outcome:
    """Plays a round, on this machine or of another kind."""
    kind = kind or Round
    outcome, started = Outcome(seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / "tmp").mkdir()
        with disk(home / "results") as small:
            kind(home, outcome, small=small).play(kind.drawn(seed), expected)
    outcome.seconds = time.monotonic() - started
    return outcome


@contextmanager
def disk(place: Path) -> Iterator[SmallDisk | None]:
    """A small disk at the place; None, and a plain folder, where none can be mounted."""
    place.mkdir()
    try:
        command("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", place)
    except OSError:
        yield None
        return
    try:
        yield SmallDisk(place)
    finally:
        command("umount", "--lazy", place)


class Round:
    """A round on this machine; what a round elsewhere does otherwise has a method of its own."""

    orders: Mapping[str, Sequence[int]] = ORDERS
    # Its disturbed runs, by its seed.
    drawn = staticmethod(schedule)
    # What a second run beside the first is called.
    company = "two sweeps"
    # What its runs find in their environment.
    environment: Mapping[str, str] = {}
    # Any of which a run may say that a fault ends with exit code 2.
    refusals: tuple[str, ...] = ()

    def __init__(self, home: Path, outcome: Outcome, *, small: SmallDisk | None) -> None:
        self._home = home
        self._results = home / "results"
        self._mark = str(home)
        self._sweeps = write_sweeps(home, self.orders)
        self._outcome = outcome
        self._small = small
        self._draw = random.Random(f"{outcome.seed} damages")

    def play(self, disturbances: Sequence[Disturbed], expected: Mapping[str, Result]) -> None:
        try:
            for disturbed in disturbances:
                self._disturb(disturbed)
            self._finish()
            self._look_over(expected)
        finally:
            for process in marked(self._mark):
                with suppress(psutil.Error):
                    process.kill()

    def _begin(self, name: str, machine: str, *, limited: bool = False, slow: bool = False) -> Run:
        self._outcome.runs += 1
        return Run(
            self._sweeps[name],
            results=self._results,
            home=self._home,
            machine=machine,
            mark=self._mark,
            environment=self.environment,
            limited=limited,
            slow=f"{self._outcome.seed}-{machine}" if slow else "",
        )

    def _disturb(self, disturbed: Disturbed) -> None:
        limited = any(self._is_limit(each) for each in disturbed.faults)
        slow = any(each.fault == "disk slow" for each in disturbed.faults)
        runs = [self._begin("one", "one", limited=limited, slow=slow)]
        if disturbed.company:
            self._note(self.company)
            runs.append(self._begin("other", "two", slow=slow))
        full = False
        for each in disturbed.faults:
            if self._is_limit(each) or each.fault == "disk slow":  # from the start
                self._note("files limited" if self._is_limit(each) else each.fault)
                continue
            self._await(each, runs[0])
            if not runs[0].ended:
                full |= self._inject(each, runs[0])
        for run in runs:
            self._await_end(run, may_lack_room=full or limited)
        if full:
            assert self._small is not None
            self._small.empty()
        for damage in disturbed.damages:
            self._damage(damage)

    def _is_limit(self, injected: Injected) -> bool:
        return injected.fault == "files limited" or (injected.fault == "disk filled" and self._small is None)

    def _note(self, what: str) -> None:
        self._outcome.injected[what] += 1

    def _await(self, injected: Injected, run: Run) -> None:
        if injected.after:
            before = len(list(self._results.glob(injected.after)))
            wait_until(lambda: run.ended or len(list(self._results.glob(injected.after))) > before, seconds=RUN_SECONDS)
        wait_until(lambda: run.ended, seconds=injected.seconds)

    def _inject(self, injected: Injected, run: Run) -> bool:
        """Does it; whether the disk is full from now on."""
        fault = injected.fault
        if fault == "disk filled":
            assert self._small is not None
            with suppress(OSError):
                self._small.fill()
            self._note(fault)
            return True
        if fault.endswith("past its lease"):
            group = fault.startswith("group")
            self._note(fault)
            run.signal(signal.SIGSTOP, group=group)
            time.sleep(1.5 * GONE_SECONDS)
            run.signal(signal.SIGCONT, group=group)
        elif fault.startswith(("run", "group")):
            number = {"killed": signal.SIGKILL, "interrupted": signal.SIGINT}.get(fault.split()[1], signal.SIGTERM)
            self._note(fault)
            run.signal(number, group=fault.startswith("group"))
        else:
            self._inject_into_trials(fault, run)
        return False

    def _inject_into_trials(self, fault: str, run: Run) -> None:
        found = run.servers() if fault == "server killed" else run.trials()
        for process in found[: self._draw.randint(1, 2)]:
            self._note(fault)
            with suppress(psutil.Error):
                if fault == "trial paused":
                    process.suspend()
                    time.sleep(0.5)
                    process.resume()
                elif fault == "trial asked to end":
                    process.terminate()
                else:
                    process.kill()

    def _await_end(self, run: Run, *, may_lack_room: bool = False, disturbed: bool = True) -> None:
        if not run.wait(RUN_SECONDS):
            self._outcome.wrong.append(f"a run hangs:\n{run.text}")
            run.signal(signal.SIGKILL, group=True)
            run.wait(60)
        code = run.process.returncode
        refused = ("the disk is full", "ulimit") if may_lack_room else ()
        if disturbed:
            refused += self.refusals
        is_refused = code == 2 and any(said in run.text for said in refused)
        if code == -signal.SIGINT and "start(_program)" not in run.text:
            return  # Python itself had not started yet
        # Interrupted once more when the program had ended, and Python waited for its threads.
        raised = "Traceback" in run.text and "Exception ignored in: <module 'threading'" not in run.text
        if (code not in (0, 1, 130, -signal.SIGKILL, -signal.SIGTERM) and not is_refused) or raised:
            self._outcome.wrong.append(f"a run ended with exit code {code}:\n{run.text}")

    def _damage(self, damage: str) -> None:
        kind, _, how = damage.partition(" ")
        if kind == "dates":
            shift = self._draw.uniform(1.0, 48.0) * 3600 * (-1 if how == "put back" else 1)
            self._note(damage)
            for path in self._results.rglob("*"):
                with suppress(OSError):
                    date = path.stat().st_mtime + shift
                    os.utime(path, (date, date))
            return
        patterns = {"checkpoint": "*/*/checkpoint-*.npz", "record": "trials/*/record.json"}
        patterns |= {"lease": "leases/*/*.json", "attempts": "running/*/attempts.json"}
        found = sorted(self._results.glob(patterns[kind]))
        if not found:
            return
        path = self._draw.choice(found)
        content = bytearray(path.read_bytes())
        if how == "cut":
            del content[self._draw.randrange(len(content) + 1) :]
        elif content:
            content[self._draw.randrange(len(content))] ^= 1 << self._draw.randrange(8)
        self._note(damage)
        path.write_bytes(content)

    def _finish(self) -> None:
        for _ in range(LAST_RUNS):
            run = self._begin("one", "one")
            self._await_end(run, disturbed=False)
            if run.process.returncode == 0:
                return
        self._outcome.wrong.append(f"not done after {LAST_RUNS} undisturbed runs:\n{run.text}")

    def _look_over(self, expected: Mapping[str, Result]) -> None:
        wrong = self._outcome.wrong
        wrong += remains(self._results)
        found = self._found(Store(self._results))
        for trial_id in sorted(found.keys() | expected.keys()):
            if found.get(trial_id) != expected.get(trial_id):
                wrong.append(f"{trial_id}: {_difference(found.get(trial_id), expected.get(trial_id))}")
        if not wait_until(lambda: not marked(self._mark), seconds=60):
            wrong += [f"process {each.pid} is left: {' '.join(each.cmdline())}" for each in marked(self._mark)]
        known = {"trials", "leases", "running", "quarantine", "filler"}
        known |= {f"{name}{end}" for name in self._sweeps for end in (".json", ".events.jsonl")}
        wrong += [f"{path.name} is left" for path in self._results.iterdir() if path.name not in known]
        kept = ("skiprnn-bench-", "torchinductor_")  # one folder a user each, which is meant to stay
        shown = [path for path in (self._home / "tmp").iterdir() if not path.name.startswith(kept)]
        wrong += [f"{path.name} is left in the temporary folder" for path in shown]
        trials = {trial.id for trial in sweeps.load(str(self._sweeps["one"])).trials}
        wrong += [f"{trial_id}: of no sweep" for trial_id in found.keys() - trials]

    def _found(self, store: Store) -> dict[str, Result]:
        return results_of(store)


def _difference(found: Result | None, expected: Result | None) -> str:
    if found is None or expected is None:
        return "is missing" if found is None else "is of no sweep"
    for name in expected:
        if found.get(name) != expected[name]:
            if name == "record":
                told = {key: (found[name].get(key), value) for key, value in expected[name].items()}
                return f"record: { ({key: pair for key, pair in told.items() if pair[0] != pair[1]}) }"
            return f"{name} differs"
    return "there is more than there should be"
