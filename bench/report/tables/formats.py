"""Tables of text as Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from bench.report.numbers import NO_NUMBER, NONE

# Such as 0.12, +3.4e-7, 0.95 ± 0.02, 1,234, 2 of 3, 0.1 [0.05, 0.2], 0.3; 0.1, 12 %, ∞, and ratios: ×1.1; ×0.9, or
# ×0.5 pays. An id that begins with digits is none.
SIZE = r"(\d[\d,]*(\.\d+)?(e-?\d+)?|∞)"
NUMBER = re.compile(rf"×{SIZE}([ ;].*)?|[+−-]?{SIZE}( (%|±|of|†|\[|\().*|;.*)?")
NOTHING = ("", NONE, NO_NUMBER)


def numeric_columns(text: pd.DataFrame) -> list[bool]:
    """Of each column, whether all its cells are numbers, or say that there is none."""
    columns = [text.iloc[:, position].astype(str).tolist() for position in range(len(text.columns))]
    told = [[cell for cell in column if cell not in NOTHING] for column in columns]
    return [bool(cells) and all(NUMBER.fullmatch(cell) for cell in cells) for cells in told]


def to_markdown(text: pd.DataFrame) -> str:
    """A pipe table; numbers to the right."""
    rules = ["---:" if numeric else "---" for numeric in numeric_columns(text)]
    lines = [[*map(str, text.columns)], *text.astype(str).to_numpy().tolist()]
    heads, *rows = [f"| {' | '.join(map(escape_markdown, line))} |\n" for line in lines]
    return "".join([heads, f"| {' | '.join(rules)} |\n", *rows])


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


LATEX_SYMBOLS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "λ": r"$\lambda$", "–": "--", "−": "$-$", "×": r"$\times$", "†": r"$\dagger$", "∞": r"$\infty$", "Δ": r"$\Delta$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "≠": r"$\neq$", "≤": r"$\leq$", "≥": r"$\geq$", "β": r"$\beta$", "…": r"\ldots{}", "“": "``", "”": "''", "’": "'",
    "[": "{[}", "]": "{]}", "*": "{*}",  # these mean something behind a row's end
}  # fmt: skip
# What LaTeX's own fonts print as it stands: Western European letters.
LETTERS = 0x17F


def escape_latex(text: str) -> str:
    """Text that LaTeX typesets as it stands, in one line; letters of other scripts by their code."""
    return "".join(map(_latex, one_line(text)))


def _latex(character: str) -> str:
    if character in LATEX_SYMBOLS:
        return LATEX_SYMBOLS[character]
    return character if ord(character) <= LETTERS else f"{{[}}U+{ord(character):04X}{{]}}"


def to_latex(text: pd.DataFrame, *, caption: str, label: str) -> str:
    """A booktabs table, numbers to the right, scaled to the line; needs the packages booktabs and graphicx."""
    lines = [" & ".join(map(escape_latex, line)) + r" \\" for line in text.astype(str).to_numpy().tolist()]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(caption)}}}",
            rf"\label{{{label}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{{_alignment(text)}}}",
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


def to_long_latex(groups: Mapping[str, pd.DataFrame], *, caption: str, label: str) -> str:
    """Tables of the same columns as one that breaks over pages, a line above each; needs booktabs and longtable.

    Args:
        groups: the line above to the table.
        caption, label: of the whole.
    """
    whole = pd.concat(groups.values(), ignore_index=True)
    columns = len(whole.columns)
    heads = " & ".join(escape_latex(str(name)) for name in whole.columns) + r" \\"
    lines = [
        r"% needs \usepackage{booktabs,longtable}",
        r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{@{{}}{_alignment(whole)}@{{}}}}",
        rf"\caption{{{escape_latex(caption)}}}\label{{{label}}}\\",
        *(r"\toprule", heads, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", heads, r"\midrule", r"\endhead"),
        *(r"\bottomrule", r"\endfoot"),
    ]
    for position, (title, text) in enumerate(groups.items()):
        rule = [r"\addlinespace"] if position else []
        head = rf"\multicolumn{{{columns}}}{{@{{}}l@{{}}}}{{\textit{{{escape_latex(title)}}}}} \\*"
        rows = [" & ".join(map(escape_latex, line)) + r" \\" for line in text.astype(str).to_numpy().tolist()]
        lines += [*rule, head, *rows]
    return "\n".join([*lines, r"\end{longtable}", r"\endgroup", ""])


def _alignment(text: pd.DataFrame) -> str:
    return "".join("r" if numeric else "l" for numeric in numeric_columns(text))
