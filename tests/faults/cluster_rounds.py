"""One round on Ray clusters: of several machines each, which are killed, paused and added again while a sweep runs.

Its trials learn nothing, so that a round is about what is between machines. Some nodes see the results folder, others
have files carried to them and home.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from bench.records.store import Store
from tests.bench.disks import SmallDisk
from tests.faults.fake_rounds import every_file
from tests.faults.machines import Machine
from tests.faults.ray_cluster import LOST_SECONDS, RayCluster, commands, raylets, workers
from tests.faults.rounds import RUN_SECONDS, Outcome, Result, Round, results_of
from tests.faults.runs import Run, wait_until
from tests.faults.schedule import Disturbed, Injected, cluster_schedule

NODES = 2
ORDERS = {"one": (0, 1, 2, 3, 4, 5, 6), "other": (6, 0, 1, 2, 3, 4, 5)}
# Which cluster the runs of a machine send their trials to.
CLUSTERS = {"one": "first", "two": "second"}


class ClusterRound(Round):
    """The round, with a cluster for each machine that a run is on."""

    orders = ORDERS
    drawn = staticmethod(cluster_schedule)
    company = "two clusters"
    # What a run is told whose cluster was killed at this moment, or its nodes.
    refusals = ("no Ray cluster answers", "has room for a trial", " is gone (")

    def __init__(self, home: Path, outcome: Outcome, *, small: SmallDisk | None) -> None:
        super().__init__(home, outcome, small=small)
        self._clusters: dict[str, RayCluster] = {}
        self._asleep: list[Machine] = []
        # Machines that are no nodes any more, but may still run what was theirs.
        self._former: list[Machine] = []

    def play(self, disturbances: list[Disturbed], expected: Mapping[str, Result]) -> None:
        try:
            super().play(disturbances, expected)
        finally:
            for cluster in self._clusters.values():
                cluster.kill()
            for machine in self._former:
                machine.kill()

    def _begin(self, name: str, machine: str, *, limited: bool = False, slow: bool = False) -> Run:
        assert not slow, "a slow disk is a fault of rounds on this machine"
        self._wake(share=0.5)
        cluster = self._ready(CLUSTERS[machine])
        self._outcome.runs += 1
        return Run(
            self._sweeps[name],
            results=self._results,
            home=self._home,
            machine=machine,
            mark=self._mark,
            executor=["--executor", "ray", "--address", cluster.address, "--data", str(self._home / "data")],
            environment=cluster.environment,
            limited=limited,
        )

    def _disturb(self, disturbed: Disturbed) -> None:
        for name in CLUSTERS.values() if disturbed.company else ():
            self._ready(name)  # now, since a run would be through by the time that the other's cluster is there
        super()._disturb(disturbed)

    def _ready(self, name: str) -> RayCluster:
        """A cluster whose nodes have started."""
        if name not in self._clusters:
            home = self._home / name
            home.mkdir()
            made = self._clusters[name] = RayCluster(home, apart=[self._results])
            for _ in range(NODES):
                self._add_node(made)
        for node in self._clusters[name].nodes:
            node.await_start()
        return self._clusters[name]

    def _add_node(self, cluster: RayCluster) -> None:
        cluster.add(apart=self._draw.random() < 0.5)

    def _is_limit(self, injected: Injected) -> bool:
        return False  # whose Ray would hardly live with small files

    def _inject(self, injected: Injected, run: Run) -> bool:
        if injected.fault == "disk filled" and self._small is None:
            return False
        return super()._inject(injected, run)

    def _inject_into_trials(self, fault: str, run: Run) -> None:
        cluster = self._clusters["first"]
        self._wake(share=0.3)
        node = self._draw.choice(cluster.nodes)
        kind, _, how = fault.partition(" ")
        if kind == "cluster":
            self._note(fault)
            cluster.head.kill()
            self._former += cluster.nodes  # which are to notice
            cluster.nodes.clear()
            run.wait(RUN_SECONDS)
            cluster.begin()
            for _ in range(NODES):
                self._add_node(cluster)
        elif kind == "node":
            self._note(fault)
            cluster.nodes.remove(node)
            if how == "killed":
                node.kill()
            else:
                node.pause()
                self._former.append(node)
                self._asleep.append(node)
                time.sleep(LOST_SECONDS)
            self._add_node(cluster)
        else:
            found = {"command": commands, "worker": workers, "raylet": raylets}[kind](node)
            for process in found:
                self._note(fault)
                with suppress(psutil.Error):
                    process.terminate() if how == "asked to end" else process.kill()
            if kind == "raylet" and found:
                cluster.nodes.remove(node)
                self._former.append(node)
                self._add_node(cluster)

    def _wake(self, *, share: float) -> None:
        """Has paused nodes come back."""
        for node in list(self._asleep):
            if self._draw.random() < share:
                self._note("node came back late")
                self._asleep.remove(node)
                node.resume()

    def _look_over(self, expected: Mapping[str, Result]) -> None:
        self._wake(share=1.0)
        machines = [*self._former, *(node for cluster in self._clusters.values() for node in cluster.nodes)]

        def left() -> list[psutil.Process]:
            return [each for machine in machines for each in [*commands(machine), *workers(machine)]]

        if not wait_until(lambda: not left(), seconds=120, every=1.0):
            self._outcome.wrong += [f"process {each.pid} is left: {' '.join(each.cmdline())}" for each in left()]
        super()._look_over(expected)

    def _found(self, store: Store) -> dict[str, Result]:
        return results_of(store, left=every_file)
