"""Differences between frameworks beside those between two engines of one framework, as dots."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.report.comparison.null_pairs import TESTED, in_margins, pairs_without_native
from bench.report.comparison.paired_differences import Comparison
from bench.report.figures.style import FAINT, INK, TITLE_LINE, Picture, label_height, new_figure, slug, wrapped

WORDS = {"quality": "quality", "update_ratio": "update ratio"}
# Okabe and Ito's orange and blue, and a shape each: apart in print and for colour-blind eyes.
LOOKS = {"two frameworks": ("#D55E00", "o"), "two engines of one framework": ("#0072B2", "X")}


def frameworks_beside_engines(frameworks: Comparison, engines: Comparison) -> list[Picture]:
    """One figure a problem, a panel a measure, a line a configuration: every pair's difference, in margins.

    The pairs are those of the table of both, without native layers.
    """
    pictures = []
    parts = [_long(comparison, name) for comparison, name in zip((frameworks, engines), LOOKS, strict=True)]
    if any(part.empty for part in parts):
        return []
    data = pd.concat(parts, ignore_index=True)
    for problem, rows in data.groupby("problem", sort=False):
        measures = [measure for measure in TESTED if (rows["measure"] == measure).any()]
        counts = [rows.loc[rows["measure"] == measure, "configuration"].nunique() for measure in measures]
        line = max(0.42, label_height([wrapped(str(name)) for name in rows["configuration"].unique()]))
        heights = [0.55 + line * count for count in counts]
        figure = new_figure(height=1.3 + sum(heights))
        panels = figure.subplots(len(measures), 1, squeeze=False, height_ratios=heights)
        for axes, measure in zip(panels[:, 0], measures, strict=True):
            _panel(axes, rows[rows["measure"] == measure], words=WORDS[measure])
        figure.suptitle(wrapped(str(problem), width=TITLE_LINE), fontsize=11)
        handles = [
            Line2D([], [], linestyle="", marker=marker, color=colour, label=name)
            for name, (colour, marker) in LOOKS.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
        pictures.append(
            Picture(
                name=f"null-pairs-{slug(str(problem))}",
                title=f"{problem}: frameworks beside engines",
                caption="A dot is a pair of trials of one seed. Differences are counted in margins of equivalence (the "
                "shaded band is one margin either way). Where both kinds of dots scatter alike, the choice of "
                "framework matters no more than the order of additions within one.",
                alternative=f"Paired differences on {problem}, between frameworks and between engines; their sizes are "
                "in the table of frameworks and engines.",
                figure=figure,
                data=rows.reset_index(drop=True),
            )
        )
    return pictures


def _long(comparison: Comparison, between: str) -> pd.DataFrame:
    parts, pairs = [], pairs_without_native(comparison)
    for measure in TESTED if len(pairs) else ():
        part = pairs[["problem", "configuration", "seed", "left", "right"]].copy()
        part["between"], part["measure"] = between, measure
        part["margins"] = in_margins(pairs, measure)
        parts.append(part.dropna(subset=["margins"]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _panel(axes: Axes, rows: pd.DataFrame, *, words: str) -> None:
    labels = list(rows["configuration"].unique())
    for place, (between, (colour, marker)) in enumerate(LOOKS.items()):
        dots = rows[rows["between"] == between]
        heights = [labels.index(label) + (place - 0.5) * 0.36 for label in dots["configuration"]]
        axes.scatter(dots["margins"], heights, color=colour, marker=marker, s=26, alpha=0.75, linewidths=0)
    axes.axvspan(-1, 1, color=FAINT, alpha=0.15, linewidth=0, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=1.0, zorder=0)
    axes.set_yticks(range(len(labels)), list(map(wrapped, labels)))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    reach = 1.1 * max(1.0, float(rows["margins"].abs().max()))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(f"difference of {words}, in margins", color=INK)
    sns.despine(ax=axes, left=True)
