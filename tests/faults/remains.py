"""What must not be left in a results folder when its trials are done."""

from __future__ import annotations

from pathlib import Path

from bench.records.running.attempt import RUNNING
from bench.records.running.leases import LEASES
from bench.records.store import CHECKPOINTS
from bench.records.upkeep.verify import findings


def remains(results: Path) -> list[str]:
    """One line for each lease, running folder, checkpoint and temporary file, and for what `verify` finds."""
    left = [*(results / LEASES).glob("*"), *(results / RUNNING).glob("*"), *results.glob(f"trials/*/{CHECKPOINTS}")]
    left += [path for path in results.rglob(".*") if path.is_file()]
    return [f"{path.relative_to(results)} is left" for path in left] + findings(results)
