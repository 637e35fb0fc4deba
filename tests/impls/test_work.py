"""The work that engines do, against counts by hand."""

from __future__ import annotations

from impls.contract import CellSpec
from impls.work import work_macs


def test_inference_follows_updates_in_the_fast_engine_alone() -> None:
    spec = CellSpec(cell="skip_lstm", input_size=2, units=(110,))
    step = 4 * 110 * (2 + 110)
    assert work_macs(spec, updates_per_sequence=5, steps=50, engine="reference") == 50 * step
    assert work_macs(spec, updates_per_sequence=5, steps=50, engine="fast") == 5 * step


def test_training_pays_for_skipped_candidates() -> None:
    lstm = CellSpec(cell="skip_lstm", input_size=3, units=(10, 20))
    step = 4 * (10 * (3 + 10) + 20 * (10 + 20))
    inputs = 4 * (10 * 3 + 20 * 10)
    recurrent = 4 * (10 * 10 + 20 * 20)  # once, after the last update: the others are shared with the next one
    skipped = 5 * inputs + recurrent
    assert work_macs(lstm, updates_per_sequence=4, steps=9, engine="fast", training=True) == 3 * 4 * step + skipped
    gru = CellSpec(cell="skip_gru", input_size=3, units=(10,))
    step, candidate = 3 * 10 * (3 + 10), 3 * 10 * 3 + 10 * 10
    skipped = 5 * candidate + 2 * 10 * 10
    assert work_macs(gru, updates_per_sequence=4, steps=9, engine="fast", training=True) == 3 * 4 * step + skipped


def test_plain_cells_pay_for_updates_alone() -> None:
    spec = CellSpec(cell="gru", input_size=3, units=(10,))
    whole = work_macs(spec, updates_per_sequence=9, steps=9, engine="reference", training=True)
    assert work_macs(spec, updates_per_sequence=9, steps=9, engine="fast", training=True) == whole
    assert work_macs(spec, updates_per_sequence=3, steps=9, engine="fast", training=True) == whole / 3
