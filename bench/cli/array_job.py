"""`run --executor slurm`: an array job whose tasks are runs of a shard each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from bench.plan.sweep import Sweep
    from bench.plan.trial import Trial


def submit_array_job(
    sweep: Sweep,
    missing: Sequence[Trial],
    *,
    typed: str,
    words: Sequence[str],
    shards: int,
    results: Path,
    options: Sequence[str],
    console: Console,
) -> None:
    """Submits an array job of the shards that have trials to run, and says how to follow it."""
    from bench.launch.cluster.slurm import parsed_options, submit
    from bench.plan.shard import Shard

    parsed = parsed_options(options)
    every = [Shard(number=number, of=shards) for number in range(1, shards + 1)]
    due = [shard for shard in every if any(map(shard.holds, missing))]
    if not due:
        console.print(f"sweep {sweep.name}: nothing to run", markup=False, highlight=False, soft_wrap=True)
        return
    commands = [[*words, "--shard", f"{shard.number}/{shard.of}"] for shard in due]
    jobs = submit(commands, results=results, name=f"skiprnn-{sweep.name}", options=parsed)
    plural = "" if len(jobs) == 1 else "s"
    console.print(
        f"sweep {sweep.name}: submitted {len(missing)} of {len(sweep.trials)} trials as {len(jobs)} task{plural}, "
        f"{jobs[0]}{f' to {jobs[-1]}' if plural else ''}; what they print is in {results / 'slurm'}\n"
        f"follow them with: python -m bench watch {typed}; report them with: python -m bench report {typed}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def words_of_a_task(
    sweep: str, *, where: Sequence[str], also: Mapping[str, Any], results: Path, data: Path
) -> list[str]:
    """The words of a task's command, but for its shard; options of `also` that are None are left out."""
    named = Path(sweep)
    words = [sys.executable, "-m", "bench", "run", str(named.resolve()) if named.suffix == ".toml" else sweep]
    words += ["--no-report", "--results", str(results.resolve()), "--data", str(data.resolve())]
    for one in where:
        words += ["--where", one]
    for name, value in also.items():
        if value is not None:
            words += [name, str(value)]
    return words
