"""`python -m tests.faults.many_nodes`: a sweep on a Ray cluster of many machines, some of which die or stand still.

Its trials learn nothing, and half of the machines do not see the results folder.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import psutil
import typer

from bench.plan import sweep as sweeps
from bench.records.record import Record
from bench.records.store import RECORD, Store
from tests.faults.fake_learner import expected
from tests.faults.machines import Machine, can_be_made
from tests.faults.ray_cluster import RayCluster, commands, workers
from tests.faults.remains import remains
from tests.faults.rounds import write_sweeps
from tests.faults.runs import Run, wait_until

# Machines that start at one time, and seconds between the head's looks at each: few cores do the work of all.
TOGETHER, LOOK_SECONDS = 5, 5
RUN_SECONDS = 3600.0


def main(
    nodes: Annotated[int, typer.Option(help="How many.", min=1)] = 50,
    trials: Annotated[int, typer.Option(help="How many.", min=2)] = 200,
    faults: Annotated[int, typer.Option(help="Nodes that are killed, or stand still and come back late.", min=0)] = 10,
    seed: Annotated[int, typer.Option(help="Of the faults.")] = 0,
) -> None:
    """Tells what was done; exit code 1 where a trial was lost, was run twice or came to something else."""
    if not can_be_made():
        raise typer.BadParameter("machines are made of Linux namespaces, which `unshare` may not do here")
    with tempfile.TemporaryDirectory(prefix="nodes-") as folder:
        home = Path(folder)
        for name in ("results", "cluster", "tmp"):
            (home / name).mkdir()
        results = home / "results"
        with RayCluster(home / "cluster", apart=[results], look_seconds=LOOK_SECONDS) as cluster:
            started, memory = time.monotonic(), psutil.virtual_memory().used
            add(cluster, nodes)
            memory = psutil.virtual_memory().used - memory
            typer.echo(f"{nodes} nodes started in {time.monotonic() - started:.0f} s, in {memory / 2**30:.1f} GiB")
            started = time.monotonic()
            sweep = write_sweeps(home, {"one": range(trials - 1)})["one"]
            run = Run(
                sweep,
                results=results,
                home=home,
                machine="one",
                mark=str(home),
                executor=["--executor", "ray", "--address", cluster.address],
                environment=cluster.environment,
            )
            late, most = disturb(run, cluster, results, draw=random.Random(seed), faults=faults, trials=trials)
            wrong = [] if run.process.returncode == 0 else [f"the run did not end well:\n{run.text}"]
            typer.echo(f"{trials} trials in {time.monotonic() - started:.0f} s, at most {most} at a time")
            for node in late:
                node.resume()
            every = [*cluster.nodes, *late]
            if not wait_until(lambda: not any(commands(node) or workers(node) for node in every), seconds=300, every=2):
                wrong.append("there are trials that still run")
            wrong += remains(results)
        wrong += amiss(Store(results).survey().records, sweep)
    for line in wrong:
        typer.echo(line)
    raise SystemExit(bool(wrong))


def add(cluster: RayCluster, nodes: int) -> None:
    """Adds nodes, of which every other does not see the results folder."""
    for first in range(0, nodes, TOGETHER):
        for node in [cluster.add(apart=bool(number % 2)) for number in range(first, min(nodes, first + TOGETHER))]:
            node.await_start()


def disturb(
    run: Run, cluster: RayCluster, results: Path, *, draw: random.Random, faults: int, trials: int
) -> tuple[list[Machine], int]:
    """Evenly over the run, a node is killed or stands still, and another joins; those that stand, and the most trials.

    These are what run at one time.
    """
    standing: list[Machine] = []
    injected: Counter[str] = Counter()
    most, until = 0, time.monotonic() + RUN_SECONDS
    while not run.wait(1.0) and time.monotonic() < until:
        most = max(most, len(list(results.glob("running/*/attempts.json"))))
        done = len(list(results.glob(f"trials/*/{RECORD}")))
        if injected.total() < faults and done * (faults + 1) >= trials * (injected.total() + 1):
            node = cluster.nodes.pop(draw.randrange(len(cluster.nodes)))
            how = draw.choice(["killed", "paused"])
            injected[how] += 1
            if how == "killed":
                node.kill()
            else:
                node.pause()
                standing.append(node)
            cluster.add(apart=draw.random() < 0.5)
    typer.echo(f"nodes: {', '.join(f'{count} {how}' for how, count in sorted(injected.items())) or 'none disturbed'}")
    return standing, most


def amiss(records: dict[str, Record], sweep: Path) -> list[str]:
    """What is wrong with the records of a sweep, after saying how trials were attempted."""
    asked = {trial.id: trial for trial in sweeps.load(str(sweep)).trials}
    wrong = [f"{trial_id}: has no record" for trial_id in asked.keys() - records.keys()]
    attempts: Counter[str] = Counter()
    for trial_id, record in records.items():
        told = {name: getattr(record, name) for name in expected(record.trial)}
        if trial_id not in asked or told != expected(record.trial):
            wrong.append(f"{trial_id}: came to {told}")
        hows = [attempt.how for attempt in record.attempts]
        attempts.update(hows)
        if hows.count("ok") != 1 or hows[-1] != "ok":
            wrong.append(f"{trial_id}: was attempted so: {', '.join(hows)}")
    typer.echo(f"attempts: {', '.join(f'{count} {how}' for how, count in sorted(attempts.items()))}")
    return wrong


if __name__ == "__main__":
    typer.run(main)
