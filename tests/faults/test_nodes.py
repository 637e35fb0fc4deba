"""What becomes of nodes that stand still and come back late, and of data sets that each node has for itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

import pytest

from bench.records.record import Record
from bench.records.running.attempt import attempts
from bench.records.running.leases import leased_trials
from bench.records.store import RECORD, Store
from bench.records.upkeep.verify import findings
from tests.bench.tasks.layouts import write_mnist
from tests.faults import machines
from tests.faults.fake_learner import expected
from tests.faults.fake_training import AFTER, BEFORE, REACHED, VARIABLE
from tests.faults.machines import Machine
from tests.faults.ray_cluster import RayCluster, commands, workers
from tests.faults.rounds import write_sweeps
from tests.faults.runs import Run, wait_until

pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not machines.can_be_made(), reason="no machine can be made here of namespaces"),
]
SECONDS = 1200.0


@dataclass
class Place:
    """A results folder, and the clusters that send their trials' records there."""

    home: Path
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        for name in ("results", "data", "tmp"):
            (self.home / name).mkdir()
        self.store = Store(self.home / "results")

    def cluster(self, name: str, *, learns: bool = False) -> RayCluster:
        (self.home / name).mkdir()
        apart = [self.store.results, self.home / "data"]
        return self.stack.enter_context(RayCluster(self.home / name, apart=apart, learns=learns))

    def run(self, cluster: RayCluster, sweep: Path, *options: str, machine: str = "one") -> Run:
        to = ["--executor", "ray", "--address", cluster.address, "--data", str(self.home / "data"), *options]
        return Run(
            sweep,
            results=self.store.results,
            home=self.home,
            machine=machine,
            mark=str(self.home),
            executor=to,
            environment=cluster.environment,
        )

    def noted(self) -> list[Path]:
        """What tells of the attempts at trials that run."""
        return list(self.store.results.glob("running/*/attempts.json"))

    def record(self) -> Record:
        """The one record."""
        ((_, record),) = self.store.survey().records.items()
        return record

    def assert_nothing_is_left(self, *nodes: Machine) -> None:
        assert wait_until(lambda: not any(commands(node) or workers(node) for node in nodes), seconds=120, every=1.0)
        assert not attempts(self.store.results)
        assert not leased_trials(self.store.results)
        assert findings(self.store.results) == []


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="nodes-") as folder:  # of a short path: sockets stand in it
        made = Place(Path(folder))
        with made.stack:
            yield made


def ended_well(run: Run) -> bool:
    return run.wait(SECONDS) and run.process.returncode == 0


@pytest.mark.parametrize("apart", [False, True], ids=["a shared disk", "no shared disk"])
@pytest.mark.parametrize("when", [AFTER, BEFORE], ids=["with its record", "before its record"])
@pytest.mark.parametrize("meanwhile", ["run again", "nothing"])
def test_a_node_comes_back_late_whose_run_is_gone(when: str, apart: bool, meanwhile: str, place: Place) -> None:
    """It stands still when its trial has its record, or is about to, and comes back after the next run or before."""
    cluster, hold = place.cluster("first"), place.home / "hold"
    hold.mkdir()
    (hold / when).touch()
    late = cluster.add(apart=apart, environment={VARIABLE: str(hold)})
    late.await_start()
    sweep = write_sweeps(place.home)["one"]
    one_trial = ("--where", "framework=tensorflow")
    killed = place.run(cluster, sweep, *one_trial)
    assert wait_until((hold / REACHED).exists, seconds=SECONDS), killed.text
    whole = when == AFTER and not apart
    if not whole:  # what tells where a trial runs goes with its record
        noted = "running/*/attempts.json"
        assert wait_until(
            lambda: late.name in "".join(map(Path.read_text, place.store.results.glob(noted))), seconds=60
        )
    late.pause()
    killed.signal(SIGKILL)
    killed.wait(60)
    (hold / when).unlink()
    if meanwhile == "nothing":
        late.resume()
        assert wait_until(lambda: not commands(late), seconds=120, every=1.0), "it ends with its run"
    other = cluster.add()
    other.await_start()
    again = place.run(cluster, sweep, *one_trial)
    assert ended_well(again), again.text
    record = place.record()
    path = place.store.folder_of(record.trial_id) / RECORD
    told = path.read_bytes()
    late.resume()
    place.assert_nothing_is_left(late, other)
    assert path.read_bytes() == told, "what comes late changes nothing"

    assert {name: getattr(record, name) for name in expected(record.trial)} == expected(record.trial)
    attempted = [(attempt.node, attempt.how) for attempt in record.attempts]
    if whole:  # its record is taken in, and nothing is run again
        assert attempted == [(late.name, "ok")]
        assert "start " not in again.text
    elif meanwhile == "run again":
        assert attempted == [(late.name, "lost"), (other.name, "ok")]
    else:  # on a shared disk it may have written its record before it heard that its run is gone
        assert attempted[0] in [(late.name, "lost")] + [(late.name, "ok")] * (not apart)
        assert attempted[-1][1] == "ok"


def test_two_clusters_share_a_store(place: Place) -> None:
    clusters = [place.cluster(name) for name in ("first", "second")]
    nodes = [cluster.add(apart=apart) for cluster in clusters for apart in (False, True)]
    for node in nodes:
        node.await_start()
    runs = [
        place.run(cluster, sweep, machine=machine)
        for cluster, sweep, machine in zip(clusters, write_sweeps(place.home).values(), ("one", "two"), strict=True)
    ]
    for run in runs:
        assert ended_well(run), run.text
    found = place.store.survey().records
    assert len(found) == 4
    for record in found.values():
        assert {name: getattr(record, name) for name in expected(record.trial)} == expected(record.trial)
        assert [attempt.how for attempt in record.attempts] == ["ok"], "nobody has run it twice"
        assert sum(f"start  {record.trial_id}" in run.text for run in runs) == 1
    place.assert_nothing_is_left(*nodes)


DATA_SWEEP = """
description = "of a data set"
[[grid]]
task = "mnist"
cell = "skip_lstm"
framework = "pytorch"
units = 3
seed = [0, 1, 2, 3]
options = { downsample = 14, validation_images = 20 }
protocol = { steps = 6, batch_size = 10, evaluate_every = 3, evaluation_sequences = 10 }
"""


def test_each_node_prepares_its_own_data_and_the_results_come_home(place: Place) -> None:
    """One node finds them prepared, the other has the files alone; the machine of the run has none."""
    pytest.importorskip("torch")
    cluster = place.cluster("first", learns=True)
    sweep = place.home / "mine.toml"
    sweep.write_text(DATA_SWEEP)
    folders, nodes = [], []
    for name in ("a", "b"):
        folders.append(place.home / name)
        write_mnist(folders[-1], train=60, test=20)
        nodes.append(cluster.add(apart=True, own={place.home / "data": folders[-1]}))
    for node in nodes:
        node.await_start()
    run = place.run(cluster, sweep)
    assert ended_well(run), run.text
    records = place.store.survey().records
    assert {record.status for record in records.values()} == {"ok"}
    assert {attempt.node for record in records.values() for attempt in record.attempts} == {node.name for node in nodes}
    assert len({record.data_fingerprint for record in records.values()}) == 1
    for folder in folders:
        assert len(list((folder / "prepared" / "mnist").iterdir())) == 1
        assert not list(folder.rglob("*.part"))
    assert not list((place.home / "data").iterdir())
    for record in records.values():
        files = {path.name for path in place.store.folder_of(record.trial_id).iterdir()}
        assert {RECORD, "curve.csv", "best.npz", "final.npz", "gates.npz", "log.txt"} <= files
    place.assert_nothing_is_left(*nodes)


def test_a_node_without_its_data_is_named(place: Place) -> None:
    cluster = place.cluster("first")
    sweep = place.home / "mine.toml"
    sweep.write_text(DATA_SWEEP.replace("[0, 1, 2, 3]", "0"))
    folder = place.home / "a"
    write_mnist(folder, train=60, test=20)
    (folder / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    node = cluster.add(apart=True, own={place.home / "data": folder})
    node.await_start()
    run = place.run(cluster, sweep)
    assert run.wait(SECONDS)
    assert run.process.returncode == 1
    record = place.record()
    assert "t10k-labels-idx1-ubyte is missing" in record.error
    assert [(attempt.node, attempt.how) for attempt in record.attempts] == [(node.name, "failed")]
    place.assert_nothing_is_left(node)
