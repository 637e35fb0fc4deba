"""What the paper's models are called: those of its tables, and the rows that a claim names."""

from __future__ import annotations

from bench.report.names import SKIP, cell_name, configuration_name, cost_name, field_name, skip_name
from bench.report.paper.published import PublishedRow

# Cells of works that the paper cites.
CITED = {
    "tanh_rnn": "tanh-RNN", "irnn": "iRNN", "urnn": "uRNN", "stanh_rnn": "s-TANH-RNN", "lstm_cooijmans": "LSTM",
    "bn_lstm": "BN-LSTM", "i3d_rgb": "I3D, RGB", "i3d_two_stream": "I3D, two streams",
}  # fmt: skip


def model_name(row: PublishedRow) -> str:
    """Such as `Skip LSTM, λ = 1e-5` or `GRU, p_skip = 0.5`; a cited one with its source."""
    if not row.of_this_project:
        return f"{CITED.get(row.cell) or cell_name(row.cell)} ({row.source})"
    skips = skip_name(p_skip=row.p_skip, period=1)
    return configuration_name(row.cell, cost_name(row.budget_cost) if row.cell.startswith(SKIP) else skips)


def row_name(row: str) -> str:
    """A row as a claim writes it, such as `skip_lstm budget_cost=1e-4 length=200`, for people."""
    cell, *words = row.split()
    told = []
    for name, value in (word.split("=") for word in words):
        known = {"budget_cost": cost_name, "p_skip": _random_skip, "length": "T = {:g}".format}
        told.append(known[name](float(value)) if name in known else field_name(name, value))
    return configuration_name(cell, ", ".join(told))


def _random_skip(p_skip: float) -> str:
    return skip_name(p_skip=p_skip, period=1)
