"""The paper's rows, and which trials stand in them."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.plan import sweep as sweeps
from bench.report.frames import trials_frame
from bench.report.paper.published import published_rows, table_rows, trials_of

ROWS = {1: 10, 2: 12, 3: 16, 4: 16, 5: 20, 6: 10}


def test_every_table_has_its_rows_and_what_was_cited_is_told_apart():
    assert Counter(row.table for row in published_rows()) == ROWS
    cited = [row.cell for row in published_rows() if not row.of_this_project]
    assert cited == [
        "tanh_rnn", "irnn", "urnn", "stanh_rnn", "lstm_cooijmans", "bn_lstm", "i3d_rgb", "i3d_two_stream",
    ]  # fmt: skip


def test_a_row_reads_as_the_paper_prints_it():
    """Table 1: Skip LSTM, λ = 1e-5: solved, 53.9 ± 2.1 %, 1.33e6 FLOPs."""
    row = table_rows(1)[4]
    assert (row.cell, row.budget_cost, row.p_skip) == ("skip_lstm", 1e-5, 0.0)
    assert (row.solved, row.updates, row.updates_std, row.updates_unit) == (True, 53.9, 2.1, "percent")
    assert row.inference_flops == 1.33e6
    assert (row.value, row.value_std) == (None, None)


@pytest.mark.parametrize("suffix", ["", "-cpu"])
@pytest.mark.parametrize("table", ROWS)
def test_a_tables_sweep_has_equally_many_trials_in_each_row_and_none_besides(table: int, suffix: str):
    trials = sweeps.load(f"table{table}{suffix}").trials
    frame = trials_frame([], missing=trials)
    found = [trials_of(row, frame)["trial_id"].tolist() for row in table_rows(table) if row.of_this_project]
    assert len({len(ids) for ids in found}) == 1
    assert sorted(trial_id for ids in found for trial_id in ids) == sorted(trial.id for trial in trials)


def test_ablations_stand_in_no_row():
    """Skips asked for by a target, periodic skips: not what the paper's Table 1 measures."""
    frame = trials_frame([], missing=sweeps.load("ablations-skips").trials)
    found = {index for row in table_rows(1) for index in trials_of(row, frame).index}
    assert {(row.cell, row.p_skip) for row in frame.loc[sorted(found)].itertuples()} == {
        ("lstm", 0.0), ("gru", 0.0), ("lstm", 0.5), ("gru", 0.5),
    }  # fmt: skip


@pytest.mark.parametrize("ablation", ["gate", "gate-layer", "initial-state", "layer-norm", "update-bias"])
def test_of_an_ablation_only_the_paper_s_own_setting_stands_in_a_row(ablation: str):
    trials = sweeps.load(f"ablations-{ablation}").trials
    frame = trials_frame([], missing=trials)
    found = {index for row in published_rows() if row.of_this_project for index in trials_of(row, frame).index}
    assert 0 < len(found) < len(frame)
    column = ablation.replace("-", "_")
    assert frame.loc[sorted(found), column].nunique() == 1
    assert frame[column].nunique() > 1
