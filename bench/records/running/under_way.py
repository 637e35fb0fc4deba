"""The trials under way, as anybody sees them who reads the store: who runs each, and how far it told to be."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench.records.attempted import AttemptsFile
from bench.records.running.attempt import RUNNING
from bench.records.running.leases import Watch, is_gone, leased_trials, read_holder


@dataclass(frozen=True, kw_only=True)
class UnderWay:
    """A trial whose lease is held.

    Attributes:
        trial_id: which.
        host: of the process that holds the lease.
        process_id: its number there.
        since: when the lease was taken, seconds of the epoch, as the disk dates it.
        heard: when the lease was touched last, likewise.
        step: of the newest evaluation; None before the first.
        loss: mean training loss up to that step.
        trouble: why the curve cannot be read; empty where nothing is wrong.
        node: the machine's name where it runs; empty where that is not told yet.
    """

    trial_id: str
    host: str
    process_id: int
    since: float
    heard: float
    step: int | None = None
    loss: float | None = None
    trouble: str = ""
    node: str = ""


def under_way(results: Path, trial_ids: Collection[str], *, watch: Watch) -> list[UnderWay]:
    """Those of the trials that are run now, in the order of their ids. Writes nothing.

    Args:
        results: the folder of all records.
        trial_ids: which to look for.
        watch: what was seen of the leases so far. A process of another machine counts as gone once its lease was
            watched without a change for `GONE_SECONDS`, so the same one is passed at every look.
    """
    found = []
    for trial_id, path in leased_trials(results).items():
        if trial_id not in trial_ids or is_gone(path, watch=watch):
            continue
        holder = read_holder(path)
        try:
            # Leases are created in the folder and touched in place: its date is that of the newest.
            since, heard = path.parent.stat().st_mtime, path.stat().st_mtime
        except FileNotFoundError:  # its trial ended meanwhile
            continue
        if holder is None or holder.released:
            continue
        running = results / RUNNING / f"{trial_id}-{holder.token}"
        step, loss, trouble = _newest(running / "curve.csv")
        begun = AttemptsFile(running).read()
        found.append(
            UnderWay(
                trial_id=trial_id,
                host=holder.machine.partition(" ")[0],
                process_id=holder.process_id,
                since=since,
                heard=heard,
                step=step,
                loss=loss,
                trouble=trouble,
                node=begun[-1].node if begun else "",
            )
        )
    return found


def _newest(curve: Path) -> tuple[int | None, float | None, str]:
    """Step and loss of the last row, and what is wrong with the file."""
    try:
        with curve.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return (int(rows[-1]["step"]), float(rows[-1]["train_loss"]), "") if rows else (None, None, "")
    except FileNotFoundError:
        return None, None, ""
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        return None, None, f"{curve.name} cannot be read ({type(error).__name__})"
