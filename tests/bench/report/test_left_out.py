"""A report leaves out files that are not what their record tells, and a full disk leaves the old report whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.cli.publishing import publish
from bench.errors import DiskError
from bench.plan.sweep import Sweep
from bench.plan.trial import Trial
from bench.records.store import Store, write_arrays
from bench.report.frames import curves_frame, read_examples, read_records, sweep_frame
from tests.bench.disks import SmallDisk
from tests.bench.report.stored import SWEEP, list_sweep, ok_record, trial, write_run

MADE = trial("digits", "skip_gru", "pytorch")


def stored_with_files(results: Path, made: Trial = MADE) -> Store:
    """A trial whose record tells of its curve and gates."""
    store = Store(results)
    record = ok_record(made, quality=0.8, update_ratio=0.5)
    write_run(store, record)
    store.write(record)
    list_sweep(results, [made])
    return store


def sweep() -> Sweep:
    return Sweep(name=SWEEP, description="", trials=(MADE,))


@pytest.mark.usefixtures("unsaved")
def test_a_curve_and_gates_that_were_changed_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored_with_files(tmp_path)
    frame = sweep_frame(read_records(SWEEP, results=tmp_path))
    assert len(curves_frame(frame, store=store)) == 2
    assert read_examples(MADE.id, store=store) is not None
    folder = store.folder_of(MADE.id)
    curve, gates = folder / "curve.csv", folder / "gates.npz"
    curve.write_text(curve.read_text().replace("1.0", "0.1"))
    gates.write_bytes(gates.read_bytes() + b"\0")
    assert curves_frame(frame, store=store).empty
    assert read_examples(MADE.id, store=store) is None
    publish(sweep(), command="", results=tmp_path, reports=tmp_path / "reports")
    lines = capsys.readouterr().out.splitlines()
    for path in (curve, gates):
        assert any(line.startswith(f"left out: {path}: was changed after it was written") for line in lines)


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize("damage", ["empty", "no archive", "a flipped byte", "other gates"])
def test_gates_that_cannot_be_read_are_named_and_left_out(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a record from before files were told, whose checksums would have told."""
    store = Store(tmp_path)
    write_run(store, ok_record(MADE, quality=0.1, update_ratio=0.5, finished="2018-04-30T12:00:00+00:00"))
    list_sweep(tmp_path, [MADE])
    path = store.folder_of(MADE.id) / "gates.npz"
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "no archive":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "other gates":
        write_arrays(path, {"inputs": np.zeros((2, 3, 1)), "gates": np.zeros((3, 2))})
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 4] ^= 0xFF
        path.write_bytes(content)
    assert read_examples(MADE.id, store=store) is None
    publish(sweep(), command="", results=tmp_path, reports=tmp_path / "reports")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(f"left out: {path}: ")]


def test_a_full_disk_leaves_the_old_report_whole(small_disk: SmallDisk, tmp_path: Path) -> None:
    stored_with_files(tmp_path)
    old = small_disk.place / "reports" / SWEEP / "index.html"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    small_disk.fill(leaving=64 * 1024)
    with pytest.raises(DiskError, match=rf"^{old.parent}: the disk is full") as raised:
        publish(sweep(), command="", results=tmp_path, reports=small_disk.place / "reports")
    assert len(str(raised.value).splitlines()) == 1
    assert old.read_text() == "old"
    assert [path.name for path in old.parent.parent.iterdir()] == [SWEEP], "no temporary folder stays"
