"""What the paper calls its models, frameworks and sources."""

from __future__ import annotations

from bench.report.paper.published import PublishedRow

CELLS = {
    "lstm": "LSTM", "gru": "GRU", "skip_lstm": "Skip LSTM", "skip_gru": "Skip GRU",
    "tanh_rnn": "tanh-RNN", "irnn": "iRNN", "urnn": "uRNN", "stanh_rnn": "s-TANH-RNN", "lstm_cooijmans": "LSTM",
    "bn_lstm": "BN-LSTM", "i3d_rgb": "I3D, RGB", "i3d_two_stream": "I3D, two streams",
}  # fmt: skip
FRAMEWORKS = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}


def model_name(row: PublishedRow) -> str:
    """Such as `Skip LSTM, λ = 1e-5` or `GRU, p_skip = 0.5`; a cited one with its source."""
    name = cell_name(row.cell)
    if not row.of_this_project:
        return f"{name} ({row.source})"
    if row.p_skip:
        return f"{name}, p_skip = {row.p_skip:g}"
    return f"{name}, λ = {small(row.budget_cost)}" if row.cell.startswith("skip_") else name


def cell_name(cell: str) -> str:
    """A cell for people; one that a plugin added keeps its own name."""
    return CELLS.get(cell, cell)


def framework_name(framework: str) -> str:
    """A framework for people."""
    return FRAMEWORKS.get(framework, framework)


def small(value: float) -> str:
    """A budget cost such as 1e-4; 0 stays 0."""
    if value == 0:
        return "0"
    mantissa, _, power = f"{value:.6e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}"
