"""The results table: seeds aggregated, as numbers for machines and as text for people (CSV, Markdown, LaTeX)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.records.record import FINISHED
from bench.report.frames import CORE, LABELS, STATUSES, configuration_fields, rows_of, varying_fields
from bench.report.numbers import NONE, spread

# Record fields that a table aggregates over seeds, in order.
MEASURES = (
    "quality", "update_ratio", "updates", "flops_per_sequence", "work_per_sequence", "step_milliseconds",
    "wait_milliseconds", "inference_milliseconds", "inference_milliseconds_batch_1", "train_seconds", "total_seconds",
)  # fmt: skip
# Columns that a readable table leaves to the CSV: labels repeat others, and the task's options set the length.
UNREAD = (*LABELS, "length")
# Columns that a readable table keeps even where every row has the same value.
ALWAYS = ("task", "cell", "framework", "quality", "metric", "reported", "update_ratio", "step_milliseconds", "status")


def aggregate(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a configuration, labels first; `<measure>_mean` and `<measure>_std` are over trials that ended ok.

    The standard deviation is the sample's (divisor n − 1); one seed has none. `solved` counts trials that met
    the task's criterion, out of `solved_of` finished (ok or diverged) ones; both are empty for tasks without one.
    """
    varying = varying_fields(trials)
    with_criterion = set(trials.loc[trials["solved"].notna(), "task"])
    rows = []
    for _, group in trials.groupby(configuration_fields(trials), sort=False, dropna=False):
        first = group.iloc[0]
        ok = group[group["status"] == "ok"]
        finished = group[group["status"].isin(FINISHED)]
        criterion = first["task"] in with_criterion
        row: dict[str, Any] = {name: first[name] for name in (*LABELS, *CORE, *varying)}
        row |= {"quality_metric": first["quality_metric"], "higher_is_better": first["higher_is_better"]}
        row |= {"seeds": len(group), **{status: int((group["status"] == status).sum()) for status in STATUSES}}
        row["solved"] = float((finished["solved"] == True).sum()) if criterion else None  # noqa: E712
        row["solved_of"] = float(len(finished)) if criterion else None
        for measure in MEASURES:
            row[f"{measure}_mean"] = ok[measure].mean()
            row[f"{measure}_std"] = ok[measure].std(ddof=1)
        rows.append(row)
    table = pd.DataFrame(rows)
    for name in ("solved", "solved_of"):
        table[name] = table[name].astype(float)
    return table


@dataclass(frozen=True, kw_only=True)
class ReadableTable:
    """Text cells.

    Attributes:
        text: every column.
        constant: what is the same in every row and need not be shown there.
    """

    text: pd.DataFrame
    constant: Mapping[str, str]

    @property
    def varying(self) -> pd.DataFrame:
        """The columns that tell rows apart."""
        return self.text.drop(columns=list(self.constant))


def readable(table: pd.DataFrame) -> ReadableTable:
    """The aggregated table as text: mean ± standard deviation, directions as arrows, statuses in words."""
    measured = {f"{measure}_{kind}" for measure in MEASURES for kind in ("mean", "std")}
    counted = {"quality_metric", "higher_is_better", "seeds", "solved", "solved_of", *STATUSES}
    naming = [name for name in map(str, table) if name not in measured | counted | set(UNREAD)]
    rows = []
    for row in rows_of(table):
        cells = {name.removeprefix("protocol."): plain(row[name]) for name in naming}
        cells["seeds"] = str(row["seeds"]) if row["ok"] == row["seeds"] else f"{row['ok']} of {row['seeds']}"
        cells["status"] = status_text(row)
        for measure in MEASURES:
            cells[measure] = spread(row[f"{measure}_mean"], row[f"{measure}_std"])
            if measure == "quality":
                cells["metric"] = f"{row['quality_metric']} {'↑' if row['higher_is_better'] else '↓'}"
            if measure == "update_ratio":
                solved, of = row["solved"], row["solved_of"]
                cells["solved"] = NONE if pd.isna(solved) or of == 0 else f"{solved:.0f} of {of:.0f}"
        rows.append(cells)
    text = pd.DataFrame(rows)
    constant = {
        str(name): str(text[name].iloc[0])
        for name in text
        if name not in ALWAYS and len(text) > 1 and text[name].nunique() == 1 and text[name].iloc[0] != NONE
    }
    return ReadableTable(text=text, constant=constant)


def status_text(row: Mapping[str, Any]) -> str:
    """`ok`, or how many trials ended how."""
    counts = {status: row[status] for status in STATUSES if row[status]}
    if set(counts) == {"ok"}:
        return "ok"
    return next(iter(counts)) if row["seeds"] == 1 else ", ".join(f"{n} {status}" for status, n in counts.items())


def plain(value: Any) -> str:
    """A configuration's value as text; a dash for none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return NONE if pd.isna(value) else f"{value:g}"
    return NONE if value is None or value == "" else str(value)


# What Markdown would read as marks, links or HTML.
MARKDOWN_SYMBOLS = {
    **{letter: f"\\{letter}" for letter in "\\`*[]|"}, "&": "&amp;", "<": "&lt;", ">": "&gt;",
}  # fmt: skip


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it stands, in one line; names with `_` inside stay as they are."""
    return "".join(MARKDOWN_SYMBOLS.get(character, character) for character in one_line(text))


def one_line(text: str) -> str:
    """The text with every line break or other control character as a space: a cell of a table is one line."""
    return "".join(character if character.isprintable() else " " for character in text)


def to_markdown(text: pd.DataFrame) -> str:
    """A pipe table."""
    lines = [list(map(str, text.columns)), ["---"] * len(text.columns), *text.astype(str).to_numpy().tolist()]
    return "".join(f"| {' | '.join(map(escape_markdown, line))} |\n" for line in lines)


LATEX_SYMBOLS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "λ": r"$\lambda$", "–": "--", "−": "$-$", "×": r"$\times$", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}",  # the last three mean something behind a row's end
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Text that LaTeX typesets as it stands, in one line."""
    return "".join(LATEX_SYMBOLS.get(character, character) for character in one_line(text))


def to_latex(text: pd.DataFrame, *, caption: str, label: str) -> str:
    """A booktabs table, scaled to the line; needs the packages booktabs and graphicx."""
    lines = [" & ".join(map(escape_latex, line)) + r" \\" for line in text.astype(str).to_numpy().tolist()]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(caption)}}}",
            rf"\label{{{label}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{{'l' * len(text.columns)}}}",
            r"\toprule",
            " & ".join(escape_latex(str(name)) for name in text.columns) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )
