"""Tables of text as Markdown and LaTeX."""

from __future__ import annotations

import pandas as pd


def to_markdown(text: pd.DataFrame) -> str:
    """A pipe table."""
    lines = [list(map(str, text.columns)), ["---"] * len(text.columns), *text.astype(str).to_numpy().tolist()]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


LATEX_SYMBOLS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "λ": r"$\lambda$", "–": "--", "−": "$-$", "×": r"$\times$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Text that LaTeX typesets as it stands."""
    return "".join(LATEX_SYMBOLS.get(character, character) for character in text)


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
