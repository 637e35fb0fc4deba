"""LaTeX out of templates whose every value is escaped, and the paper's tables in it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from bench.report.paper.tables import NAMING_COLUMNS, RegeneratedTable
from bench.report.tables.formats import escape_latex

# Numbers such as 1.33e6 and 1e-5, but not inside of words.
POWER = re.compile(r"(?<![\w.])(\d(?:\.\d+)?)e(-?\d+)(?!\w)")
# Shares of the line for model, source and runs; a table of two lengths has less for them.
WIDTHS, WIDE_WIDTHS = (0.2, 0.13, 0.09), (0.135, 0.09, 0.06)


class Latex(str):
    """Text that is LaTeX already, which a template takes as it is."""


def typeset(text: object) -> Latex:
    """Any value as LaTeX: escaped as every table is, with powers of ten and the random skip as formulas."""
    if isinstance(text, Latex):
        return text
    return Latex(POWER.sub(_power, escape_latex(str(text))).replace(r"p\_skip", r"$p_\mathrm{skip}$"))


def _power(match: re.Match[str]) -> str:
    mantissa, exponent = match.group(1), int(match.group(2))
    return f"$10^{{{exponent}}}$" if mantissa == "1" else rf"${mantissa}\times10^{{{exponent}}}$"


def fill(template: Path, **values: Any) -> str:
    r"""A template, filled in. Its marks are `\VAR{…}` and `\BLOCK{…}`; what it prints is typeset."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        block_start_string=r"\BLOCK{",
        block_end_string="}",
        variable_start_string=r"\VAR{",
        variable_end_string="}",
        comment_start_string=r"\COMMENT{",
        comment_end_string="}",
        undefined=jinja2.StrictUndefined,
        finalize=typeset,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(**values)


def table_latex(table: RegeneratedTable) -> str:
    """A table that fits the article's page and may break across pages; needs array, booktabs and longtable."""
    models, wide = [], bool(table.layout.lengths)
    for _, rows in table.text.groupby("model", sort=False):
        cells = rows.to_numpy().tolist()
        # The model is named once; the rows under it are of the same.
        models.append([table_line(row if position == 0 else ["", *row[1:]]) for position, row in enumerate(cells)])
    return fill(
        Path(__file__).with_name("table.tex"),
        number=table.layout.number,
        name=table.name,
        caption=" ".join(table.head),
        wide=wide,
        widths=WIDE_WIDTHS if wide else WIDTHS,
        numeric=table.text.shape[1] - len(NAMING_COLUMNS),
        heads=_heads(table),
        models=models,
    )


def _heads(table: RegeneratedTable) -> Latex:
    """The columns' heads; those that columns share stand above them over a rule."""
    names = [
        _printed(str(name).removeprefix(f"{group}: ")) for name, group in zip(table.text, table.groups, strict=True)
    ]
    if not any(table.groups):
        return table_line(names)
    shared = [(group, len(list(columns))) for group, columns in itertools.groupby(table.groups)]
    above, rules, start = [], "", 1
    for group, width in shared:
        above.append(rf"\multicolumn{{{width}}}{{c}}{{{typeset(group)}}}" if group else "&" * (width - 1))
        rules += rf"\cmidrule(lr){{{start}-{start + width - 1}}}" if group else ""
        start += width
    return Latex(" & ".join(above) + r" \\" + f"\n{rules}\n" + table_line(names))


def _printed(name: str) -> str:
    """A head for print; one that compares stands right of what it compares and need not name it again."""
    for comparison in (" − paper", " / paper"):
        if name.endswith(comparison):
            return comparison.strip()
    return name if name.startswith("mAP") else name[0].upper() + name[1:]


def table_line(cells: Iterable[str]) -> Latex:
    """A row of a table, its cells typeset."""
    return Latex(" & ".join(map(typeset, cells)) + r" \\")
