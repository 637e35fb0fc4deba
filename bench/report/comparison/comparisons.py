"""All that is compared within a sweep: frameworks, engines, both beside each other, and skipping."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.report.comparison.null_pairs import NullComparison, compare_with_null
from bench.report.comparison.paired_differences import Comparison, compare
from bench.report.comparison.pairing import with_configuration
from bench.report.comparison.skipping import Skipping, skipping_against_plain


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """All that is compared within a sweep."""

    frameworks: Comparison
    engines: Comparison
    null: NullComparison
    skipping: Skipping


def compare_all(trials: pd.DataFrame, *, curves: pd.DataFrame | None = None) -> Comparisons:
    """Compares frameworks, engines and skipping; `curves` tell where pairs part."""
    trials = with_configuration(trials)
    frameworks = compare(trials, apart="framework", curves=curves)
    engines = compare(trials, apart="engine", curves=curves)
    return Comparisons(
        frameworks=frameworks,
        engines=engines,
        null=compare_with_null(frameworks, engines),
        skipping=skipping_against_plain(trials),
    )


def null_of(trials: pd.DataFrame) -> NullComparison:
    """Frameworks beside engines alone, without where pairs part."""
    trials = with_configuration(trials)
    return compare_with_null(compare(trials, apart="framework"), compare(trials, apart="engine"))
