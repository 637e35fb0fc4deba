"""Which trials a command means: those of a sweep, narrowed and on a device, or a single one by its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.plan.sweep import Sweep
    from bench.plan.trial import Trial

ID_DIGITS = 16


def select(name: str, *, where: Sequence[str] | None, device: str | None) -> Sweep:
    """The sweep, narrowed and on a device. Raises `SweepError` or `DeviceError`."""
    from bench.plan import sweep as sweeps

    sweep = sweeps.load(name)
    if where:
        sweep = sweep.narrowed(where)
    return sweep if device is None else sweep.on(known_device(device))


def known_device(device: str) -> str:
    """The device. Raises `DeviceError` where it is not one."""
    from bench.errors import DeviceError
    from impls.contract import DEVICES
    from impls.errors import nearest

    if device not in DEVICES:
        raise DeviceError(f"--device {device}: not one of {', '.join(DEVICES)}{nearest(device, DEVICES)}")
    return device


def select_trial(identifier: str, *, sweep: str | None, results: Path) -> Sweep:
    """A sweep of the one trial with this id, under the name of the sweep that asks for it.

    Args:
        identifier: a trial's id, as dry runs and records show it; its first digits do where no other begins so.
        sweep: the one sweep to look in; None looks in every sweep that comes with the project, then in the records.
        results: the folder of records.

    Raises `SweepError` where there is no such trial, or more than one.
    """
    from bench.errors import SweepError
    from bench.plan import sweep as sweeps

    digits = identifier.strip().lower()
    if not digits or len(digits) > ID_DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise SweepError(f"--trial {identifier}: an id has {ID_DIGITS} hexadecimal digits; --dry-run shows them")
    looked_in = sweeps.available() if sweep is None else [sweep]
    found: dict[str, Sweep] = {}
    for name in looked_in:
        loaded = sweeps.load(name)
        for trial in loaded.trials:
            if trial.id.startswith(digits):
                found.setdefault(trial.id, loaded.of(trial))
    if not found and sweep is None:
        found = {trial.id: alone for trial, alone in _recorded(digits, results=results)}
    if not found:
        places = f"sweep {sweep!r}" if sweep else f"any sweep of the project, or record in {results}"
        raise SweepError(f"--trial {identifier}: no trial of {places} has this id; --dry-run shows a sweep's ids")
    if len(found) > 1:
        raise SweepError(f"--trial {identifier}: {len(found)} ids begin so: {', '.join(sorted(found)[:4])}; give more")
    return next(iter(found.values()))


def _recorded(digits: str, *, results: Path) -> Iterator[tuple[Trial, Sweep]]:
    """The trials whose records are in the results folder."""
    from bench.plan.sweep import Sweep
    from bench.records.store import Store

    store = Store(results)
    for trial_id in store.trial_ids():
        if trial_id.startswith(digits) and (record := store.read(trial_id)) is not None:
            yield record.trial, Sweep(name=record.trial.task, description="", trials=(record.trial,))
