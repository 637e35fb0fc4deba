"""`python -m tests.faults`: runs small sweeps, disturbs them on a seeded schedule, and tells what was wrong after."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tests.faults import cluster_rounds
from tests.faults.cluster_rounds import ClusterRound
from tests.faults.fake_rounds import FakeRound, fake_reference
from tests.faults.machines import can_be_made
from tests.faults.rounds import play, reference
from tests.faults.shared_memory import left_in_shared_memory, shared_memory

# What a round is played by, and what it has to come to, by where trials run.
PLACES = {
    "here": (play, reference),
    "fake": (partial(play, kind=FakeRound), fake_reference),
    "ray": (partial(play, kind=ClusterRound), partial(fake_reference, orders=cluster_rounds.ORDERS)),
}


def main(
    rounds: Annotated[int, typer.Option(help="How many.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the first round; each that follows has the next.")] = 0,
    workers: Annotated[int, typer.Option(help="Rounds at a time.", min=1)] = 1,
    on: Annotated[
        str, typer.Option(help=f"Where trials run: {', '.join(PLACES)} (here, but they learn nothing; clusters).")
    ] = "here",
) -> None:
    """Plays the rounds. One that failed is played again alone by its seed: `--rounds 1 --seed N`."""
    if on not in PLACES:
        raise typer.BadParameter(f"--on {on}: not one of {', '.join(PLACES)}")
    if on == "ray" and not can_be_made():
        raise typer.BadParameter("--on ray makes machines of Linux namespaces, which `unshare` may not do here")
    play_one, undisturbed = PLACES[on]
    started, injected, failed = time.monotonic(), Counter[str](), list[int]()
    before = shared_memory()
    with tempfile.TemporaryDirectory(prefix="faults-reference-") as folder:
        expected = undisturbed(Path(folder) / "undisturbed")
    typer.echo(f"{len(expected)} trials, undisturbed: {time.monotonic() - started:.0f} s")
    runs = done = 0
    with ThreadPoolExecutor(workers) as pool:
        for future in as_completed(pool.submit(play_one, number, expected) for number in range(seed, seed + rounds)):
            outcome = future.result()
            injected += outcome.injected
            runs, done = runs + outcome.runs, done + 1
            told = ", ".join(f"{name} {count}" for name, count in sorted(outcome.injected.items())) or "nothing"
            fate = "WRONG" if outcome.wrong else "right"
            typer.echo(f"{done}/{rounds} seed {outcome.seed}: {fate} after {outcome.runs} runs, {told}")
            for line in outcome.wrong:
                typer.echo(f"  {line}")
            if outcome.wrong:
                failed.append(outcome.seed)
    left = left_in_shared_memory(before)
    for name in left:
        typer.echo(f"{name} is left in shared memory")
    typer.echo(f"\n{done} rounds of {runs} runs in {(time.monotonic() - started) / 60:.0f} min; injected:")
    for name, count in sorted(injected.items()):
        typer.echo(f"  {count:6}  {name}")
    if failed:
        typer.echo(f"wrong: --seed {', '.join(map(str, sorted(failed)))}")
    raise SystemExit(bool(failed or left))


if __name__ == "__main__":
    typer.run(main)
